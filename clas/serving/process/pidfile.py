"""The file by which `stop` finds the server that `start` started at a port."""

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
"""Prefix of the servers' directories for temporary files."""

_KINDS: Final = {
    "pid": int,
    "created": float,
    "graceful_timeout_s": int | float,
    "scratch": str,
}
_SAME_TIME_S: Final = 2.0  # the system's clock may have been set meanwhile


@dataclasses.dataclass(frozen=True)
class RunningServer:
    """The first process of a server.

    Attributes:
        pid: Its id.
        created: Its start, in seconds since 1970.
        graceful_timeout_s: How long it may take to stop.
        scratch: Its directory for temporary files.
    """

    pid: int
    created: float
    graceful_timeout_s: float
    scratch: str

    def process(self) -> psutil.Process | None:
        """Return the process, if it is still running and still the same."""
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.created) < _SAME_TIME_S
            if is_same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            pass
        return None


def _path_of(port: int) -> Path:
    return platformdirs.user_state_path("clas_system") / f"serving_{port}.json"


@contextlib.contextmanager
def announced(port: int, graceful_timeout_s: float, scratch: Path) -> Iterator[None]:
    """Write the file of this process for the duration of a block."""
    process = psutil.Process()
    server = RunningServer(process.pid, process.create_time(), graceful_timeout_s, str(scratch))
    file = _path_of(port)
    predecessor = find(port)
    if predecessor and predecessor.process() is None:
        forget(port, predecessor)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = file.with_suffix(f".{process.pid}")
        temporary.write_text(json.dumps(dataclasses.asdict(server)))
        temporary.replace(file)
    except OSError as exc:
        _LOGGER.warning("`stop -p %d` won't find this server: %s: %s", port, file, exc.strerror)
    try:
        yield
    finally:
        if os.getpid() == process.pid:  # not in a worker that leaves the block
            forget(port, server)


def find(port: int) -> RunningServer | None:
    """Read the file of the server at `port`, whether it still runs or not; None if there is none."""
    try:
        content = json.loads(_path_of(port).read_text())
        server = RunningServer(**{name: content[name] for name in _KINDS})
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return server if all(isinstance(getattr(server, name), kind) for name, kind in _KINDS.items()) else None


def forget(port: int, server: RunningServer | None = None) -> None:
    """Remove the files of the server at `port`.

    Args:
        port: The server's.
        server: The server; the files of another one stay. None removes those of any.
    """
    found = find(port)
    if server and found != server:
        return
    with contextlib.suppress(OSError):
        _path_of(port).unlink()
    if found and Path(found.scratch).name.startswith(SCRATCH_PREFIX):
        shutil.rmtree(found.scratch, ignore_errors=True)
