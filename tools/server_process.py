"""Run a server in a process session of its own, for the time of a block; for the demo and the tests."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

STOP_TIMEOUT_S: Final = 60.0
_START_TIMEOUT_S: Final = 180.0  # importing PaddleHub alone takes 5 to 30 s, more on a busy machine
_POLL_S: Final = 0.05
_SHOWN_LINES: Final = 30
_PORTS: Final = range(20_000, 32_000)
"""Below those that Linux hands out (from 32768), above those of Ray's workers (up to 19999)."""


def free_port() -> int:
    """Return a TCP port that nobody listens on at the moment.

    It is chosen at random from ports that the system doesn't hand out, so that hardly anybody else takes it
    before a server listens on it: neither an outgoing connection nor another process that calls this.
    """
    while True:
        port = secrets.choice(_PORTS)  # not `random`, which tests seed
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def is_listening(port: int) -> bool:
    """Return whether somebody accepts connections on this port of this machine."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def server_process(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str],
    cwd: Path | None,
    is_up: Callable[[], bool],
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; whatever is left of its process session at the end of the block is killed.

    Args:
        command: What is run.
        log: File for all that the server prints.
        env: Its environment.
        cwd: Where it is started.
        is_up: Tells whether it is ready for the block.

    Raises:
        RuntimeError: The server ended, or wasn't up in time; shows the end of the log.
    """
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until(is_up, server, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(STOP_TIMEOUT_S)


def _wait_until(is_up: Callable[[], bool], server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not is_up():
        if server.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
            state = "is not up" if server.returncode is None else f"exited with {server.returncode}"
            raise RuntimeError(f"the server {state}; the end of {log}:\n{tail}")
        time.sleep(_POLL_S)
