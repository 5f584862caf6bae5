"""The examples for other programs in the page on the server, against a real standalone server."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from documents import blocks
from serving_process import Running, clas_serving, tiny_config

DOCUMENTED = "http://127.0.0.1:8866"
IMAGES = {"rocket.jpg": (0, 0, 255), "coffee.png": (255, 0, 0)}  # blue, green, red: of class 0 and 2


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with clas_serving(tmp_path_factory.mktemp("server"), config=tiny_config(tiny_model)) as running:
        yield running


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where an example is run: it has the images that the examples name."""
    folder = tmp_path / "build" / "demo" / "images"
    folder.mkdir(parents=True)
    for name, colour in IMAGES.items():
        image = np.full((32, 32, 3), colour, np.uint8)
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
    return tmp_path


@pytest.fixture(scope="module")
def examples(repository: Path, server: Running) -> dict[str, list[str]]:
    """Language -> the blocks under `Calling`, with this server's address; both manuals have the same."""
    text = (repository / "docs" / "en" / "server.md").read_text(encoding="utf-8")
    [calling] = [part for part in re.split(r"^## ", text, flags=re.MULTILINE) if "@build/demo" in part]
    found: dict[str, list[str]] = {}
    for language, block in blocks(calling):
        found.setdefault(language, []).append(block.replace(DOCUMENTED, server.base))
    return found


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} isn't installed here")
    return path


def output_of(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(examples: dict[str, list[str]], directory: Path) -> None:
    program("curl")
    commands = [line for block in examples["bash"] for line in block.splitlines()]
    assert len(commands) == 3
    assert all("curl" in command for command in commands)
    answers = [json.loads(output_of(["bash", "-c", command], directory)) for command in commands]
    assert [answer["status"] for answer in answers] == ["000"] * 3
    found = [[entry["class_ids"] for entry in answer["results"]["prediction"]] for answer in answers]
    one, form, encoded = found
    assert len(one[0]) == len(encoded[0]) == 3
    assert (one[0][0], form, encoded[0][0]) == (0, [[0], [2]], 0)


def test_javascript(examples: dict[str, list[str]], directory: Path) -> None:
    [example] = examples["js"]
    (directory / "classify.mjs").write_text(example, encoding="utf-8")
    shown = output_of([program("node"), "classify.mjs"], directory)
    assert re.fullmatch(r"\[ 0, \d, \d \] \[\] \[ [\d.]+, [\d.e-]+, [\d.e-]+ \]\n", shown)


def test_python(examples: dict[str, list[str]], directory: Path) -> None:
    [example] = examples["python"]
    results = ast.literal_eval(output_of([sys.executable, "-c", example], directory))
    assert results["prediction"][0]["class_ids"][0] == 0
    assert len(results["prediction"][0]["class_ids"]) == 3
