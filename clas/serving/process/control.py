"""The server's end of the socket to its parent, see `parent`; imports the standard library only."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

VARIABLE: Final = "CLAS_SERVING_PARENT"
"""The environment variable by which a parent tells a server what it hands over, as JSON."""

_BEAT_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1  # of prctl(2)


class Facts(NamedTuple):
    """What a server tells its parent when it listens.

    Attributes:
        workers: How many processes have to be ready before it can take over from another one.
        timeout_s: Its heartbeats may fail to come for this long, and a little longer.
        graceful_timeout_s: How long it may take to stop.
        scratch: Its directory for temporary files, which the parent removes after a crash.
        pidfile: The file for `stop`, which the parent removes at its end.
        log_format: As in the server's options, like the other two.
        log_level: See there.
        log_file: See there.
    """

    workers: int
    timeout_s: float
    graceful_timeout_s: float
    scratch: str
    pidfile: str
    log_format: str
    log_level: str
    log_file: str


class Control:
    """What a server and its parent have told each other; a server may have no parent.

    Args:
        handover: What the parent told; None if there is none.

    Attributes:
        parent: The parent's process id; 0 if there is none.
        restarts: How many processes were lost before this one.
        takes_over: Another process serves until this one is ready, and stops then.
        listener: The socket at which the processes before this one listened.
    """

    def __init__(self, handover: Mapping[str, Any] | None = None) -> None:
        told = handover or {}
        self.parent: int = told.get("parent", 0)
        self.restarts: int = told.get("restarts", 0)
        self.takes_over: bool = told.get("takes_over", False)
        self.listener = _adopted(told.get("listener"))
        self._connection = _adopted(told.get("control"))
        if self._connection:
            self._connection.setblocking(False)  # a parent that is held up must not hold up its server
        self._last_beat = -_BEAT_S

    @property
    def is_orphaned(self) -> bool:
        """Whether there was a parent, and it is gone."""
        return bool(self.parent) and os.getppid() != self.parent

    def listening(self, facts: Facts, listener: socket.socket) -> None:
        """Hand the socket that listens to the parent, from which the next process gets it."""
        self._tell("listening", facts._asdict(), listener)

    def ready(self) -> None:
        """Tell that a process serves; with several workers, each of them does."""
        self._tell("ready")

    def stopping(self) -> None:
        """Tell that no more heartbeats will come."""
        self._tell("stopping")

    def beat(self) -> None:
        """Send a heartbeat; to be called as often as one likes while all is well."""
        now = time.monotonic()
        if now - self._last_beat >= _BEAT_S:
            self._last_beat = now
            self._tell("beat")

    def _tell(self, event: str, facts: object = None, listener: socket.socket | None = None) -> None:
        if self._connection is None:
            return
        line = json.dumps({"event": event, "facts": facts}).encode() + b"\n"
        with contextlib.suppress(OSError):  # the parent is gone, or doesn't read
            if listener is None:
                self._connection.send(line)
            else:
                socket.send_fds(self._connection, [line], [listener.fileno()])


def adopt() -> Control:
    """Take over what the parent has left in the environment of this process, if it has one.

    Until the server has its own way with signals, Ctrl-C is left to the parent, and SIGHUP always is.
    """
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return Control()
    control = Control(json.loads(text))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  # the parent, which imports this file, doesn't need it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if control.is_orphaned:
        os._exit(1)
    return control


def _adopted(descriptor: int | None) -> socket.socket | None:
    if descriptor is None:
        return None
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
