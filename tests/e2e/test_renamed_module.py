"""A copy of the module under another name beside the first one, with the real `hub`."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests

from faces import USES_HUB
from hub_server import hub_serving, run_hub
from known_answers import PHOTOGRAPHS, assert_right
from server_process import free_port
from tiny_models import config_naming

pytestmark = USES_HUB

NAME = "garbage_system"
LABELS = ("can", "bottle", "paper", "glass", "battery", "other")


def run_python(env: dict[str, str], cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, arguments)],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with images of one colour, and a model of six classes, of which the colour decides."""
    directory = tmp_path_factory.mktemp("workplace")
    model = shutil.copytree(tiny_model, directory / "bins")
    (model / "inference.yml").write_text(config_naming("labels.txt"))
    (model / "labels.txt").write_text("".join(f"{number} {name}\n" for number, name in enumerate(LABELS)))
    for number in range(3):
        image = np.zeros((48, 48, 3), np.uint8)
        image[:, :, 2 - number] = 255
        cv2.imwrite(str(directory / f"{LABELS[number]}.png"), image)
    return directory


@pytest.fixture(scope="module")
def made(workplace: Path, repository: Path, hub_env: dict[str, str]) -> Path:
    """The folder of the copy, as the command makes it."""
    env = {**hub_env, "PYTHONPATH": str(repository)}
    flags = ("garbage/", NAME, "--inference_model_dir", "bins")
    done = run_python(env, workplace, "-m", "clas", "rename_module", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        f"next: hub install garbage/ && hub serving start -m clas_system {NAME}"
    )
    return workplace / "garbage"


@pytest.fixture(scope="module")
def both(
    made: Path, installed: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment in which both modules are installed."""
    home = tmp_path_factory.mktemp("both") / "hub_home"
    shutil.copytree(installed["HUB_HOME"], home)
    env = {**installed, "HUB_HOME": str(home)}
    done = run_hub(["install", "garbage/"], env, made.parent)
    assert f"Successfully installed {NAME}-1.0.0" in done.stdout, done.stdout
    yield env
    shutil.rmtree(home)


def classify(address: str, *files: Path, **fields: object) -> list[dict[str, Any]]:
    images = [base64.b64encode(file.read_bytes()).decode() for file in files]
    answer = requests.post(address, json={"images": images, **fields}, timeout=60).json()
    assert answer["status"] == "000", answer
    prediction: list[dict[str, Any]] = answer["results"]["prediction"]
    return prediction


def assert_each_answers_rightly(base: str, photographs: Path, workplace: Path, *, top_k: int) -> None:
    """Ask both in turn; `top_k` is that of the copy."""
    bins = [workplace / f"{name}.png" for name in LABELS[:3]]
    for _ in range(3):
        assert_right(
            classify(f"{base}/clas_system", *(photographs / name for name in PHOTOGRAPHS)), PHOTOGRAPHS
        )
        found = classify(f"{base}/{NAME}", *bins)
        assert [entry["label_names"][0] for entry in found] == list(LABELS[:3])
        assert {len(entry["class_ids"]) for entry in found} == {top_k}
    assert len(classify(f"{base}/{NAME}", bins[0], top_k=6)[0]["label_names"]) == 6


def test_one_server_serves_both(
    both: dict[str, str], workplace: Path, photographs: Path, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with hub_serving(["-m", "clas_system", NAME, "-p", str(port)], port, log, both, tmp_path):
        assert_each_answers_rightly(f"http://127.0.0.1:{port}/predict", photographs, workplace, top_k=2)
    text = log.read_text(encoding="utf-8")
    assert f"- clas_system: code: {both['HUB_HOME']}/modules/clas_system\n" in text
    assert f"- {NAME}: code: {both['HUB_HOME']}/modules/{NAME}\n" in text
    assert f"- {NAME}: model: {workplace / 'bins'}, format: " in text
    assert f"- {NAME}: top_k: 2, labels: 6 ({workplace / 'bins' / 'labels.txt'})" in text
    assert len(re.findall(r"- clas_system: model: ", text)) == 1


def test_workers_serve_both_by_the_configuration_file_of_the_manual(
    both: dict[str, str], repository: Path, workplace: Path, photographs: Path, tmp_path: Path
) -> None:
    """The copy has a top_k of its own in that file; each worker is forked with both modules loaded."""
    port, log = free_port(), tmp_path / "log"
    config = json.loads((repository / "deploy" / "two_modules.json").read_text(encoding="utf-8"))
    assert list(config["modules_info"]) == ["clas_system", NAME]
    config.update(port=port, use_multiprocess=True, workers=2)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with hub_serving(["-c", "config.json"], port, log, both, tmp_path):
        assert_each_answers_rightly(f"http://127.0.0.1:{port}/predict", photographs, workplace, top_k=3)


def test_the_copy_can_be_tried_in_place_and_run_by_its_name(
    both: dict[str, str], made: Path, workplace: Path
) -> None:
    tried = run_python(both, workplace, "garbage/module.py", "bottle.png")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout.splitlines()[1].split()[1:] == ["1", "bottle"]
    assert f"{NAME}: code: {made}" in tried.stderr
    done = run_hub(["run", NAME, "--input_path", "paper.png"], both, workplace)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "images classified: 1"
    assert "  2  paper" in done.stdout


def test_the_copy_is_uninstalled_alone(both: dict[str, str], tmp_path: Path) -> None:
    home = shutil.copytree(both["HUB_HOME"], tmp_path / "hub_home")
    env = {**both, "HUB_HOME": str(home)}
    done = run_hub(["uninstall", NAME], env)
    assert f"Successfully uninstalled {NAME}" in done.stdout, done.stdout
    assert [path.name for path in (home / "modules").iterdir()] == ["clas_system"]
    listed = run_hub(["list"], env)
    assert re.search(r"\|\s*clas_system\s*\|", listed.stdout), listed.stdout
    assert NAME not in listed.stdout
