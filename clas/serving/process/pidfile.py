"""The files by which `stop` finds the servers that `start` started at a port, one for each address."""

import contextlib
import dataclasses
import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Final

import platformdirs
import psutil

_LOGGER: Final = logging.getLogger("clas_system")
SCRATCH_PREFIX: Final = "clas_serving_"
"""Prefix of the servers' directories for temporary files."""

_KINDS: Final = {
    "pid": int,
    "started": str,
    "host": str,
    "address": str,
    "port": int,
    "tls": bool,
    "graceful_timeout_s": int | float,
    "scratch": str,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningServer:
    """The first process of a server: the parent, where there is one.

    Attributes:
        pid: Its id.
        started: Tells it from others of this id; see `start_of`.
        host: Where it listens, as it was told.
        address: The same as a number; it has a file for each address and port.
        port: The port.
        tls: Whether it speaks HTTPS.
        graceful_timeout_s: How long it may take to stop.
        scratch: Its directory for temporary files.
    """

    pid: int
    started: str
    host: str
    address: str
    port: int
    tls: bool = False
    graceful_timeout_s: float
    scratch: str

    @property
    def is_running(self) -> bool:
        """Whether the process is still running and still the same."""
        return start_of(self.pid) == self.started

    @property
    def file(self) -> Path:
        """Where this is written."""
        address = re.sub(r"[^\w.]", "-", self.address)  # Windows has no colons in names
        return _directory() / f"serving_{self.port}_{address}.json"


def start_of(pid: int) -> str:
    """Return what tells a running process from others that have or had its id; empty if it has ended.

    On Linux that is the clock tick of its start, and the boot to which that belongs: a time of day would be
    another one as soon as the clock is set.
    """
    if psutil.LINUX:
        with contextlib.suppress(OSError, IndexError):
            state, *fields = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
            return "" if state in "ZX" else f"{boot} {fields[18]}"  # the 22nd of all, see proc(5)
        return ""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return repr(process.create_time())
    return ""


def announce(server: RunningServer) -> None:
    """Write the file of a server; what is left of one that was killed goes."""
    before = _read(server.file)
    if before and not before.is_running:
        forget(before)
    try:
        server.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = server.file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(dataclasses.asdict(server)))
        temporary.replace(server.file)
    except OSError as exc:
        where = f"`stop -p {server.port}` won't find this server"
        _LOGGER.warning("%s: %s: %s", where, server.file, exc.strerror)


def find(port: int | None = None, host: str | None = None) -> list[RunningServer]:
    """Read the files of the servers at `port`, or at any, whether they still run or not.

    Args:
        port: The port; None for any.
        host: The address, as it was told or as a number; None for any.
    """
    pattern = f"serving_{'*' if port is None else port}_*.json"
    servers = (_read(file) for file in sorted(_directory().glob(pattern)))
    return [server for server in servers if server and host in (None, server.host, server.address)]


def forget(server: RunningServer) -> None:
    """Remove the files of a server, unless another one has taken its place."""
    if _read(server.file) != server:
        return
    with contextlib.suppress(OSError):
        server.file.unlink()
    if Path(server.scratch).name.startswith(SCRATCH_PREFIX):  # whatever the file says
        shutil.rmtree(server.scratch, ignore_errors=True)


def _directory() -> Path:
    return platformdirs.user_state_path("clas_system")


def _read(file: Path) -> RunningServer | None:
    """Read a server's file; None if it isn't one."""
    try:
        content = json.loads(file.read_text())
        server = RunningServer(**{name: content[name] for name in _KINDS})
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return server if all(isinstance(getattr(server, name), kind) for name, kind in _KINDS.items()) else None
