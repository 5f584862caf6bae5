import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hub_server import free_port, hub_serving, run_hub
from known_answers import PHOTOGRAPHS


class Service(NamedTuple):
    """A running `hub serving`."""

    url: str
    pid: int
    log: Path


@pytest.fixture(scope="session")
def hub_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of an activated .venv, with a PaddleHub home of its own, and no GPU named."""
    env = {**os.environ, "HUB_HOME": str(tmp_path_factory.mktemp("hub_home"))}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env.pop("CUDA_VISIBLE_DEVICES", None)
    return env


def snapshot(directory: Path) -> dict[str, int]:
    """Everything below a directory, with the time of its last change."""
    return {str(path.relative_to(directory)): path.stat().st_mtime_ns for path in directory.rglob("*")}


@pytest.fixture(scope="session")
def installed(hub_env: dict[str, str], repository: Path, default_model_dir: Path) -> dict[str, str]:
    """The environment in which `hub install clas/` has been done."""
    assert default_model_dir.is_relative_to(repository / "clas")
    before = snapshot(repository / "clas")
    done = run_hub(["install", "clas/"], hub_env, repository)
    assert done.returncode == 0, done.stdout
    assert "Successfully installed clas_system-1.0.0" in done.stdout
    assert snapshot(repository / "clas") == before
    return hub_env


@pytest.fixture(scope="session")
def pictures(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pictures")
    for name in PHOTOGRAPHS:
        shutil.copy(photographs / name, directory)
    return directory


@pytest.fixture(scope="session", params=["single process", "multi-process"])
def service(
    request: pytest.FixtureRequest, installed: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """`hub serving start -m clas_system`, in both of its modes; stopped by `hub serving stop`."""
    directory = tmp_path_factory.mktemp("start_dir")
    port = free_port()
    arguments = ["-m", "clas_system", "-p", str(port)]
    if request.param == "multi-process":
        arguments += ["--use_multiprocess", "--workers", "2"]
    with hub_serving(arguments, port, directory / "log", installed, directory) as server:
        yield Service(f"http://127.0.0.1:{port}/predict/clas_system", server.pid, directory / "log")
