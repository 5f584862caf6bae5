"""Starts what is measured: the standalone server, PaddleHub, a peer; each for the time of a block."""

import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import psutil
from peers.peers import OURS, Peer, prepare
from repository import MODEL, ROOT
from usage import MARK, processes

# isort: split
from clas.protocol import PREDICT_PATH
from hub_server import hub_command, run_hub
from server_process import free_port, is_listening, server_process

_STOP_TIMEOUT_S: Final = 30


@dataclasses.dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        url: Where requests go.
        mark: Of its processes; see `usage`.
        log: What it prints.
        pattern: Of Lua: finds the first class of each image in its answers.
    """

    url: str
    mark: str
    log: Path
    pattern: str = OURS


@contextlib.contextmanager
def marked(
    command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path, is_up: Callable[[], bool]
) -> Iterator[str]:
    """Run a server, and leave no process of it behind, whatever session it is in.

    Args:
        command: What is run.
        log: File for all that it prints.
        env: Its environment.
        cwd: Where it is started.
        is_up: Tells whether it is ready for the block.

    Yields:
        The mark of its processes.
    """
    mark = uuid.uuid4().hex
    try:
        with server_process(command, log, {**env, MARK: mark}, cwd, is_up) as server:
            try:
                yield mark
            finally:
                server.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(_STOP_TIMEOUT_S)
    finally:
        _end_all(mark)


@contextlib.contextmanager
def standalone(
    options: Sequence[str] = (),
    cores: Sequence[int] = (),
    *,
    whole: bool = True,
    model: Path = MODEL,
    repository: Path = ROOT,
) -> Iterator[Running]:
    """The standalone server.

    Args:
        options: More of its flags.
        cores: Where it may run; empty for everywhere.
        whole: Wait for all of its predictors, not only until it answers.
        model: Folder of its model; the default model's, unless it is given.
        repository: Where its package is; here, unless it is given.
    """
    port = free_port()
    pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
    command = [*pinned, sys.executable, "-W", "ignore", "-m", "clas.serving", "start", "-m", "clas_system"]
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        env = {**os.environ, "PYTHONPATH": str(repository), "XDG_STATE_HOME": directory}
        flags = ["-p", str(port), "--inference_model_dir", str(model), *options]
        is_up = lambda: bool(_get(port, "/health/ready")) and (not whole or _has_all_predictors(port))  # noqa: E731
        with marked([*command, *flags], work / "log", env, work, is_up) as mark:
            yield Running(f"http://127.0.0.1:{port}{PREDICT_PATH}", mark, work / "log")


@contextlib.contextmanager
def hub(init_args: Mapping[str, object] | None = None, workers: int = 0) -> Iterator[Running]:
    """PaddleHub with the module, on the default model.

    Args:
        init_args: What config.json says of the model.
        workers: How many there are; 0 for a single process.
    """
    port = free_port()
    module = {"init_args": {"version": "1.0.0", **(init_args or {})}, "predict_args": {}}
    config: dict[str, Any] = {"modules_info": {"clas_system": module}, "port": port}
    config |= {"use_multiprocess": workers > 0, "workers": max(1, workers)}
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / "config.json").write_text(json.dumps(config), "ascii")
        env = {**os.environ, "HUB_HOME": str(_installed_hub())}
        command = [hub_command(), "serving", "start", "-c", "config.json"]
        with marked(command, work / "log", env, work, lambda: is_listening(port)) as mark:
            yield Running(f"http://127.0.0.1:{port}{PREDICT_PATH}", mark, work / "log")


@contextlib.contextmanager
def running_peer(peer: Peer, options: Sequence[str] = ()) -> Iterator[Running]:
    """A peer, which is prepared if it isn't.

    Args:
        peer: One of PEERS.
        options: More of its flags.
    """
    prepare(peer)
    port = free_port()
    log, is_up = peer.build_dir / "server.log", lambda: peer.is_up(port)
    with marked(peer.command(port, options), log, peer.environment(), peer.build_dir, is_up) as mark:
        yield Running(f"http://127.0.0.1:{port}{peer.path}", mark, log, peer.pattern)


@cache
def _installed_hub() -> Path:
    """A home of PaddleHub below build/ with the module as it is now."""
    home = ROOT / "build" / "bench" / "hub_home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    installed = run_hub(["install", "clas/"], {**os.environ, "HUB_HOME": str(home)}, ROOT)
    if installed.returncode:
        raise RuntimeError(f"hub install clas/ failed: {installed.stdout[-2000:]}")
    return home


def _has_all_predictors(port: int) -> bool:
    """Requests are answered before: the first predictor is enough for that."""
    predictors = json.loads(_get(port, "/") or "{}").get("predictors", {})
    return bool(predictors and predictors["serving"] == predictors["wanted"])


def _get(port: int, path: str) -> bytes:
    """The body of an answer; empty if there is none, or another status than 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == http.client.OK else b""
    return b""


def _end_all(mark: str) -> None:
    """Give what a server has left behind a little time to end, then kill it."""
    _, alive = psutil.wait_procs(processes(mark), timeout=5)
    while alive:
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        alive = processes(mark)  # of one that was killed, another may have taken the place
