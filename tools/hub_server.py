"""Run `hub` and `hub serving` in processes of their own; for the demo and the tests."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from server_process import STOP_TIMEOUT_S, is_listening, server_process

_POLL_S: Final = 0.05
_COMMAND_TIMEOUT_S: Final = 180.0  # importing PaddleHub alone takes 5 to 30 s, more on a busy machine


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
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )


@contextlib.contextmanager
def hub_serving(
    arguments: Sequence[str], port: int, log: Path, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `hub serving start ARGUMENTS`, which must lead to a server on `port`, for the time of a block.

    It is stopped by the signal that `hub serving stop` sends: the command itself takes seconds, since it
    imports PaddleHub.

    Args:
        arguments: What comes after `hub serving start`.
        port: Where the server will listen.
        log: File for all that the server prints.
        env: Its environment; HUB_HOME in it says where the module is installed.
        cwd: Where it is started.

    Raises:
        RuntimeError: The server ended, or didn't listen or stop in time.
    """
    command = [hub_command(), "serving", "start", *arguments]
    with server_process(command, log, env, cwd, partial(is_listening, port)) as server:
        yield server
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(STOP_TIMEOUT_S)
            _wait_until_closed(port)  # in its GPU mode, other processes end after the first one


def _wait_until_closed(port: int) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while is_listening(port):
        if time.monotonic() > deadline:
            raise RuntimeError(f"port {port} is still open {STOP_TIMEOUT_S:g} s after SIGTERM")
        time.sleep(_POLL_S)
