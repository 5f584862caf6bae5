"""Run `hub` and `hub serving` in processes of their own; for the demo and the tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_START_TIMEOUT_S: Final = 180.0  # importing PaddleHub alone takes 5 to 30 s, more on a busy machine
_STOP_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.1
_SHOWN_LINES: Final = 30


def hub_command() -> str:
    """The `hub` that belongs to the running Python."""
    return str(Path(sys.executable).with_name("hub"))


def run_hub(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `hub ARGUMENTS` to its end, with stdout and stderr captured together."""
    return subprocess.run(
        [hub_command(), *arguments],
        env=env,
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=_START_TIMEOUT_S,
        check=False,
    )


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on this port of this machine."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def hub_serving(
    arguments: Sequence[str], port: int, log: Path, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `hub serving start ARGUMENTS`, which must lead to a server on `port`, for the time of a block.

    The server gets a process session of its own and is stopped with `hub serving stop`.

    Args:
        arguments: What comes after `hub serving start`.
        port: Where the server will listen.
        log: File for all that the server prints.
        env: Its environment; HUB_HOME in it says where the module is installed.
        cwd: Where it is started.

    Raises:
        RuntimeError: The server ended, or didn't listen in time; shows the end of the log.
    """
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [hub_command(), "serving", "start", *arguments],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_listening(server, port, log)
        yield server
        # PaddleHub's stop exits with 1 even when it worked: the closed port tells.
        run_hub(["serving", "stop", "-p", str(port)], env)
        server.wait(_STOP_TIMEOUT_S)
    finally:
        _end_session(server)
    if is_listening(port):
        raise RuntimeError(f"port {port} is still open after `hub serving stop`")


def _wait_until_listening(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not is_listening(port):
        if server.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
            state = "is not listening" if server.returncode is None else f"exited with {server.returncode}"
            raise RuntimeError(f"the server {state}; the end of {log}:\n{tail}")
        time.sleep(_POLL_S)


def _end_session(server: subprocess.Popen[bytes]) -> None:
    """End whatever is left of the server's own process session, its workers included."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(_STOP_TIMEOUT_S)
