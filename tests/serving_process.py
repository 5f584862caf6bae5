"""The standalone server in a process of its own, and what tests do to it."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import requests

from server_process import server_process

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-W", "ignore", "-m", "clas.serving")


class Running:
    """A server that runs.

    Attributes:
        base: Its address, without a path.
        url: Where predictions are asked for.
        log: What it has printed.
        process: Its first process, the parent.
    """

    def __init__(self, port: int, log: Path, pid: int, scheme: str = "http", host: str = "127.0.0.1") -> None:
        self.port = port
        self.base = f"{scheme}://{host}:{port}"
        self.url = f"{self.base}/predict/clas_system"
        self.log = log
        self.process = psutil.Process(pid)

    def servers(self) -> list[psutil.Process]:
        """The process that serves, or the supervisor of those that do; two while one follows another."""
        return self.process.children()

    def models(self) -> list[psutil.Process]:
        """The processes that have a model loaded, or are loading one."""
        return [child for child in self.process.children(recursive=True) if is_spawned(child, "spawn_main")]

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Stop all models, for the time of a block or until what it gives is called."""
        models = self.models()

        def go_on() -> None:
            for model in models:
                model.resume()

        for model in models:
            model.suspend()
        try:
            yield go_on
        finally:
            go_on()

    def workers(self) -> list[psutil.Process]:
        """The worker processes under the supervisor."""
        children = [child for server in self.servers() for child in server.children()]
        return [child for child in children if not is_spawned(child, "multiprocessing")]

    def is_complete(self) -> bool:
        """Whether all workers, and all predictors of the one that is asked, serve; not only the first."""
        told = requests.get(self.base, timeout=30).json()["predictors"]
        are_ready = self.log.read_text(errors="replace").count(" is ready") >= len(self.workers())
        return bool(told["serving"] == told["wanted"]) and are_ready

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels."""
        total = 0.0
        for line in requests.get(f"{self.base}/metrics", timeout=30).text.splitlines():
            head, _, value = line.rpartition(" ")
            fits = all(f'{key}="{wanted}"' in head for key, wanted in labels.items())
            if head.partition("{")[0] == name and fits:
                total += float(value)
        return total


def tiny_config(
    model: Path, *, max_batch_size: int = 0, engine: Any = "auto", **top_level: Any
) -> dict[str, Any]:
    """For one of the tiny models, on one thread; answers the best class of each image, without its name."""
    sizes = {"crop_size": 32, "resize_short": 32, "class_id_map_file": "", "cpu_num_threads": 1}
    model_args = {"inference_model_dir": str(model), "engine": engine}
    init_args = {**sizes, "max_batch_size": max_batch_size, **model_args}
    module = {"init_args": init_args, "predict_args": {"top_k": 1}}
    return {"modules_info": {"clas_system": module}, **top_level}


def is_spawned(process: psutil.Process, word: str) -> bool:
    try:
        return any(word in argument for argument in process.cmdline())
    except psutil.Error:
        return False


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; an orphan may wait for seconds until init asks for its status."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def server_env(home: Path, **more: str) -> dict[str, str]:
    """An environment with a place of its own for the server's state, and no GPU named."""
    env = {**os.environ, "XDG_STATE_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    env.pop("CUDA_VISIBLE_DEVICES", None)
    return {**env, **more}


def eventually(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """What `condition` gives as soon as that is true; fails if it never is."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it didn't come to pass"
        time.sleep(0.02)
    return found


def is_ready(base: str, **arguments: Any) -> bool:
    try:
        return requests.get(f"{base}/health/ready", timeout=5, **arguments).status_code == 200
    except requests.RequestException:
        return False


def port_in(log: Path, host: str = "127.0.0.1") -> int:
    """The port that a server listens at by its log; 0 if it doesn't yet."""
    text = log.read_text(errors="replace") if log.exists() else ""
    found = re.search(rf"listening at https?://{re.escape(host)}:(\d+), ", text)
    return int(found[1]) if found else 0


@contextlib.contextmanager
def clas_serving(
    directory: Path,
    *arguments: str,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    scheme: str = "http",
    host: str = "127.0.0.1",
    **ready_arguments: Any,
) -> Iterator[Running]:
    """`python -m clas.serving start ARGUMENTS`, until SIGTERM, after which it must exit with 0.

    The system chooses the port.

    Args:
        directory: Where it is started, and leaves log and state.
        *arguments: What comes after `start`, but for the port.
        config: What config.json holds, but for the port; None starts without it.
        env: Its environment.
        log: The file that `arguments` have it log to.
        scheme: http or https.
        host: Where it listens, as URLs have it; "127.0.0.1" is its own default.
        **ready_arguments: For the requests that ask whether it is ready.
    """
    printed = directory / "server.log"
    log = log or printed
    by = ["-p", "0"]
    if config is not None:
        file = directory / "config.json"
        file.write_text(json.dumps({**config, "port": 0}))
        by = ["-c", str(file)]
    by += [] if host == "127.0.0.1" else ["--host", host.strip("[]")]
    command = [*COMMAND, "start", *arguments, *by]

    def is_up() -> bool:
        port = port_in(log, host)
        return port != 0 and is_ready(f"{scheme}://{host}:{port}", **ready_arguments)

    with server_process(command, printed, env or server_env(directory), directory, is_up) as server:
        running = Running(port_in(log, host), printed, server.pid, scheme, host)
        yield running
        if server.poll() is None:
            children = running.process.children(recursive=True)
            server.terminate()
            assert server.wait(60) == 0, printed.read_text(errors="replace")
            eventually(lambda: all(is_gone(child) for child in children), 10)


def run(directory: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`python -m clas.serving ARGUMENTS` to its end, with stdout and stderr captured together."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**server_env(directory), **more},
        cwd=directory,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
