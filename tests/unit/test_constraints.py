"""What the pinned sets under constraints/ hold, and what is installed by which of them."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest

ONLY_PADDLES = {"paddlepaddle", "setuptools", "networkx", "opt-einsum", "safetensors", "httpx"}
NOT_THE_TESTS = {"numpy", "protobuf", "markupsafe", "opencv-python-headless"}
"""What the small set has in another version than constraints/dev.txt, which holds these for PaddleHub."""


def pinned(repository: Path, set_name: str) -> dict[str, set[str]]:
    """Name -> versions, which may be several by platform."""
    found: dict[str, set[str]] = {}
    for line in (repository / "constraints" / f"{set_name}.txt").read_text().splitlines():
        if match := re.match(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def required(repository: Path, extra: str) -> set[str]:
    """The names that an extra of the package asks for."""
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    names = set()
    for line in setup["options.extras_require"][extra].split("\n"):
        if inner := re.match(r"clas_system\[([\w-]+)\]", line):
            names |= required(repository, inner[1])
        elif match := re.match(r"[\w.-]+", line):
            names.add(match[0])
    return names


@pytest.mark.parametrize("extra", ["client", "hub", "serving", "serving-paddle", "serving-gpu", "ray"])
def test_a_set_has_what_the_extra_of_its_name_asks_for(repository: Path, extra: str) -> None:
    assert required(repository, extra) <= pinned(repository, extra).keys()


@pytest.mark.parametrize("set_name", ["serving", "export", "serving-gpu"])
def test_no_server_but_paddles_has_what_only_paddle_needs(repository: Path, set_name: str) -> None:
    assert not pinned(repository, set_name).keys() & ONLY_PADDLES
    assert pinned(repository, "serving-paddle").keys() >= ONLY_PADDLES


def test_each_set_names_its_pythons_and_compiles_nothing_on_others(repository: Path) -> None:
    """uv leaves these lines out; they follow its command."""
    files = [file for file in (repository / "constraints").glob("*.txt") if "overrides" not in file.name]
    assert len(files) > 10
    for file in files:
        _, command, pythons, option, first, *_ = file.read_text().splitlines()
        assert command.startswith("#    uv pip compile"), file.name
        assert pythons.startswith("# For Python 3."), file.name
        named = pythons.removeprefix("# For ").removesuffix(".")
        assert named in file.with_suffix(".in").read_text(), file.name
        versions = pinned(repository, file.stem).get("numpy", ())
        assert (option == "--only-binary numpy") == bool(versions), file.name
        if len(versions) == 1:  # pip goes by the order of the lines, and downloads as it goes
            assert [first] == [f"numpy=={version}" for version in versions], file.name


@pytest.mark.parametrize("set_name", ["serving", "serving-paddle", "serving-gpu", "ray", "dev"])
def test_no_set_brings_openvinos_telemetry(repository: Path, set_name: str) -> None:
    names = pinned(repository, set_name).keys()
    assert "openvino" in names
    assert "openvino-telemetry" not in names


def test_all_tests_run_with_the_versions_of_the_servers(repository: Path) -> None:
    tested = pinned(repository, "dev")
    for set_name, others in (("serving", NOT_THE_TESTS), ("serving-paddle", {"opencv-python-headless"})):
        for name, versions in pinned(repository, set_name).items():
            assert name in others or versions == tested[name], name
    headless = pinned(repository, "serving")["opencv-python-headless"]
    assert headless == tested["opencv-python"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_manual_names_the_pinned_versions_of_the_engines(repository: Path, language: str) -> None:
    text = (repository / "docs" / language / "install.md").read_text(encoding="utf-8")
    known = pinned(repository, "serving-paddle") | pinned(repository, "serving-gpu")
    named = set(re.findall(r"(openvino|paddlepaddle|onnxruntime-gpu)==([\d.]+)", text))
    assert "openvino" in dict(named)
    assert all(version in known[name] for name, version in named)


def test_the_large_sets_extend_the_small_one(repository: Path) -> None:
    small = pinned(repository, "serving").keys()
    for set_name in ("serving-paddle", "serving-gpu"):
        assert small < pinned(repository, set_name).keys(), set_name


def test_make_serve_builds_the_small_set_only(repository: Path) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "serve"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(re.findall(r"constraints/\S+", done.stdout)) == {
        "constraints/serving.txt",
        "constraints/export.txt",
    }
    assert set(re.findall(r"\.venv[\w-]*", done.stdout)) == {".venv-serving"}
