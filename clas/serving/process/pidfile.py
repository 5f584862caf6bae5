"""Which server of ours runs at which port: what `start` leaves for `stop`."""

import contextlib
import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import platformdirs
import psutil

_LOGGER: Final = logging.getLogger("clas_system")
SCRATCH_PREFIX: Final = "clas_serving_"
"""How the names of the servers' directories for temporary files begin."""

_KINDS: Final = {
    "pid": int,
    "created": float,
    "command": list,
    "host": str,
    "graceful_timeout_s": int | float,
    "scratch": str,
}
_SAME_TIME_S: Final = 2.0  # the clock of the machine may have been set meanwhile


@dataclasses.dataclass(frozen=True)
class State:
    """The first process of a running server.

    Attributes:
        pid: Its id.
        created: When it was started, in seconds since 1970.
        command: Its command line.
        host: Where it listens.
        graceful_timeout_s: How long it may take to stop.
        scratch: Its directory for temporary files.
    """

    pid: int
    created: float
    command: list[str]
    host: str
    graceful_timeout_s: float
    scratch: str

    def process(self) -> psutil.Process | None:
        """The process, if it is still there, and still the same."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.created) < _SAME_TIME_S
            if is_same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            pass
        return None


def _file_of(port: int) -> Path:
    return platformdirs.user_state_path("clas_system") / f"serving_{port}.json"


@contextlib.contextmanager
def announced(port: int, host: str, graceful_timeout_s: float, scratch: Path) -> Iterator[None]:
    """Have this process be known as the server at `port`, for the time of a block."""
    process = psutil.Process()
    state = State(
        process.pid, process.create_time(), process.cmdline(), host, graceful_timeout_s, str(scratch)
    )
    file = _file_of(port)
    predecessor = find(port)
    if predecessor and predecessor.process() is None:
        forget(port, predecessor)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = file.with_suffix(f".{process.pid}")
        temporary.write_text(json.dumps(dataclasses.asdict(state)))
        temporary.replace(file)
    except OSError as exc:
        _LOGGER.warning("`stop -p %d` won't find this server: %s: %s", port, file, exc.strerror)
    try:
        yield
    finally:
        if os.getpid() == process.pid:  # not in a worker that leaves by this way
            forget(port, state)


def find(port: int) -> State | None:
    """What the server at `port` has left, whether it still runs or not; None if there was none."""
    try:
        state = State(**json.loads(_file_of(port).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return state if all(isinstance(getattr(state, name), kind) for name, kind in _KINDS.items()) else None


def forget(port: int, state: State | None = None) -> None:
    """Take away what the server at `port` has left.

    Args:
        port: Where it was.
        state: What it left; that of a server that has come since stays. None for whatever is there.
    """
    found = find(port)
    if state and found != state:
        return
    with contextlib.suppress(OSError):
        _file_of(port).unlink()
    if found and Path(found.scratch).name.startswith(SCRATCH_PREFIX):
        shutil.rmtree(found.scratch, ignore_errors=True)
