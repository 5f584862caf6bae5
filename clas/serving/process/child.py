"""A server's process as its parent sees it; imports the standard library only."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any, Final

from .control import VARIABLE, Facts

_CHUNK: Final = 65_536
_BEAT_SLACK_S: Final = 5.0  # beyond timeout_s, as for a worker under its supervisor
_STOP_SLACK_S: Final = 3.0  # beyond graceful_timeout_s, less than `stop` waits
_UNKNOWN_STOP_S: Final = 30.0  # of a process that hasn't told its graceful_timeout_s yet


class Child:
    """One process of the server, started at once.

    Args:
        command: What is run.
        listener: The socket that it inherits; None for the first process, which makes it.
        restarts: How many were lost before.
        takes_over: Whether another one serves until this one is ready.

    Attributes:
        pid: Its process id.
        facts: What it has told of itself; None until it listens.
        listener: The socket that it has made and handed to us.
        ready_since: When a process of it became ready, on the monotonic clock; None until then.
    """

    def __init__(
        self, command: Sequence[str], listener: socket.socket | None, restarts: int, *, takes_over: bool
    ) -> None:
        self.facts: Facts | None = None
        self.listener: socket.socket | None = None
        self.ready_since: float | None = None
        self._connection, theirs = socket.socketpair()
        self._connection.setblocking(False)
        self._received = b""
        self._num_ready = 0
        self._last_sign = time.monotonic()
        self._is_killed = False
        self._stops_since: float | None = None
        handover: dict[str, Any] = {"parent": os.getpid(), "control": theirs.fileno(), "restarts": restarts}
        handover |= {"takes_over": takes_over, "listener": listener.fileno() if listener else None}
        theirs.set_inheritable(True)
        if listener:
            listener.set_inheritable(True)
        env = {**os.environ, VARIABLE: json.dumps(handover)}
        self.pid = os.posix_spawn(command[0], list(command), env)
        theirs.close()

    def fileno(self) -> int:
        """Return the descriptor that is readable when the process tells something; -1 when it has ended."""
        return self._connection.fileno()

    @property
    def is_complete(self) -> bool:
        """Whether all of its processes are ready."""
        return self.facts is not None and self._num_ready >= self.facts.workers

    def receive(self) -> None:
        """Take in what the process has told since the last call."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._connection, _CHUNK, 1)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if descriptors:
                self.listener = socket.socket(fileno=descriptors[0])
            if not data:
                self._connection.close()
                return
            *lines, self._received = (self._received + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        self._last_sign = now = time.monotonic()
        match message["event"]:
            case "listening":
                self.facts = Facts(**message["facts"])
            case "ready":
                self._num_ready += 1
                self.ready_since = self.ready_since or now
            case "stopping":
                self._stops_since = self._stops_since or now

    def excuse(self) -> None:
        """Count missing heartbeats from now on: we couldn't have received them."""
        self._last_sign = time.monotonic()

    @property
    def silent_s(self) -> float:
        """How long there has been no sign of life that should have come, beyond what is allowed; else 0."""
        if self.facts is None or self.ready_since is None or self._stops_since:
            return 0.0
        silent_s = time.monotonic() - self._last_sign
        return silent_s if silent_s > self.facts.timeout_s + _BEAT_SLACK_S else 0.0

    @property
    def is_overdue(self) -> bool:
        """Whether it should have ended by now."""
        if self._stops_since is None or self._is_killed:
            return False
        graceful_s = self.facts.graceful_timeout_s if self.facts else _UNKNOWN_STOP_S
        return time.monotonic() > self._stops_since + graceful_s + _STOP_SLACK_S

    def stop(self) -> None:
        """Ask it to finish its requests and end; returns at once."""
        self._stops_since = self._stops_since or time.monotonic()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._is_killed = True
        self._stops_since = self._stops_since or time.monotonic()
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Remove what is left of it, after its end."""
        self._connection.close()
        if self.facts and os.path.isdir(self.facts.scratch):  # noqa: PTH112  # pathlib is for others
            import shutil  # noqa: PLC0415  # with its compressors it would make each start 5 ms slower

            shutil.rmtree(self.facts.scratch, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
