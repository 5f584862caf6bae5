import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from faces import FACES, STANDALONE_FACES, on_each
from hub_server import hub_serving, run_hub
from known_answers import PHOTOGRAPHS
from server_process import free_port
from serving_process import clas_serving, eventually

if TYPE_CHECKING:
    from ray_cluster import RayService


class Service(NamedTuple):
    """A running server: `hub serving`, or the standalone one."""

    url: str
    pid: int
    log: Path
    is_hub: bool


@pytest.fixture(scope="session")
def minutes(request: pytest.FixtureRequest) -> float | None:
    """How long the full-length forms take; None for the short ones."""
    given: float | None = request.config.getoption("--minutes")
    return given


@pytest.fixture(scope="session")
def hub_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of an activated .venv, with a PaddleHub home of its own, and no GPU named."""
    env = {**os.environ, "HUB_HOME": str(tmp_path_factory.mktemp("hub_home"))}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env.pop("CUDA_VISIBLE_DEVICES", None)
    return env


@pytest.fixture(scope="session")
def ray_nodes(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RayService]":
    """A cluster of Ray Serve: two nodes with a core each, and a head without replicas."""
    from ray_cluster import ray_service  # noqa: PLC0415  # imports Ray, which most tests don't need

    with ray_service(tmp_path_factory.mktemp("ray")) as running:
        running.add_node()
        running.add_node()
        yield running


def snapshot(directory: Path) -> dict[str, int]:
    """All files below a directory, with the time of their last change; but for what any import writes."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(directory)): path.stat().st_mtime_ns for path in files}


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
def image_folder(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("images")
    for name in PHOTOGRAPHS:
        shutil.copy(photographs / name, directory)
    return directory


@pytest.fixture(scope="session", params=on_each(FACES))
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, default_model_dir: Path
) -> Iterator[Service]:
    """The default model behind either server, in both of its modes."""
    directory = tmp_path_factory.mktemp("start_dir")
    workers = ["--use_multiprocess", "--workers", "2"] if "workers" in request.param else []
    if request.param in STANDALONE_FACES:
        assert default_model_dir.is_dir()
        with clas_serving(directory, "-m", "clas_system", *workers) as running:
            eventually(running.is_complete)
            [first] = running.servers()
            yield Service(running.url, first.pid, running.log, is_hub=False)
        return
    port = free_port()
    log = directory / "log"
    env = request.getfixturevalue("installed")
    with hub_serving(["-m", "clas_system", "-p", str(port), *workers], port, log, env, directory) as server:
        yield Service(f"http://127.0.0.1:{port}/predict/clas_system", server.pid, log, is_hub=True)
