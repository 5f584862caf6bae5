"""The parent of a server: starts it, starts it again when it is lost, replaces it by a new one on SIGHUP.

It parses nothing, and imports the standard library only: it has to outlive whatever ends its child. That
child is the same command once more. It makes the listening socket and hands it over, so that no connection
is refused while one process takes the place of another.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .backoff import Backoff
from .child import Child
from .parent_log import ParentLog
from .signal_queue import SignalQueue

if TYPE_CHECKING:
    import socket

_TICK_S: Final = 1.0
_LATE_S: Final = 3.0


def run_parent() -> int:
    """Run the command of this process as the child of this process; returns the exit status."""
    return Parent([sys.executable, *sys.orig_argv[1:]]).run()


class Parent:
    """Keeps one server running until SIGTERM or SIGINT.

    Args:
        command: Starts the server.
        backoff: How long to wait before a start after a crash.
    """

    def __init__(self, command: Sequence[str], backoff: Backoff | None = None) -> None:
        self._command = command
        self._backoff = backoff or Backoff()
        self._log = ParentLog()
        self._signals = SignalQueue()
        self._listener: socket.socket | None = None
        self._pidfile = ""
        self._restarts = 0
        self._serving: Child | None = None
        self._successor: Child | None = None
        self._leaving: list[Child] = []
        self._restart_at: float | None = None
        self._was_ready = False
        self._is_stopping = False
        self._status = 0

    def run(self) -> int:
        """Run the server.

        Returns:
            The exit status: the server's; 1 if it crashed before it was ever ready.
        """
        self._serving = self._start()
        while self._children or self._restart_at is not None:
            self._wait()
            for number in self._signals.drain():
                self._on_signal(number)
            for child in self._children:
                self._follow(child)
            self._reap()
            self._restart_if_due()
        if self._pidfile:
            with contextlib.suppress(OSError):
                os.unlink(self._pidfile)  # noqa: PTH108  # pathlib is for others
        return self._status

    @property
    def _children(self) -> list[Child]:
        return [child for child in (self._serving, self._successor, *self._leaving) if child]

    def _start(self, *, takes_over: bool = False) -> Child:
        return Child(self._command, self._listener, self._restarts, takes_over=takes_over)

    def _wait(self) -> None:
        """Wait for a signal, a message, or the next time to look after all."""
        wait_s = _TICK_S
        if self._restart_at is not None:
            wait_s = min(wait_s, max(0, self._restart_at - time.monotonic()))
        telling = [child.fileno() for child in self._children if child.fileno() >= 0]
        before = time.monotonic()
        select.select([self._signals.fileno(), *telling], [], [], wait_s)
        if time.monotonic() - before > _LATE_S:  # the machine slept, or somebody stopped us
            for child in self._children:
                child.excuse()

    def _follow(self, child: Child) -> None:
        child.receive()
        if child.facts and child is self._serving:
            self._log.follow(child.facts)
            self._pidfile = child.facts.pidfile
        self._listener = self._listener or child.listener
        if child is self._serving and child.ready_since is not None:
            self._was_ready = True
        if child is self._successor and child.is_complete:
            self._hand_over()
        if child.silent_s:
            message = f"the server's process {child.pid} has given no sign of life for {child.silent_s:.0f} s"
            self._log.write("error", f"{message}: it is killed")
            child.kill()
        elif child.is_overdue:
            self._log.write("error", f"the server's process {child.pid} has not ended in time: it is killed")
            child.kill()

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and not self._is_stopping:
            self._reload()

    def _stop(self) -> None:
        self._is_stopping = True
        self._restart_at = None
        for child in self._children:
            child.stop()

    def _reload(self) -> None:
        """Start a successor, which loads the model while the present process serves."""
        if self._restart_at is not None:
            self._backoff.reset()
            self._restart_at = time.monotonic()
        elif self._listener is None:
            self._log.write("warning", "SIGHUP is ignored: the server doesn't listen yet")
        else:
            if self._successor:
                self._retire(self._successor)
            self._successor = self._start(takes_over=True)
            self._log.write(
                "info", f"SIGHUP: process {self._successor.pid} starts, to serve when it is ready"
            )

    def _hand_over(self) -> None:
        before, self._serving, self._successor = self._serving, self._successor, None
        if before and self._serving:
            self._log.write("info", f"process {self._serving.pid} serves now: process {before.pid} stops")
            self._retire(before)

    def _retire(self, child: Child) -> None:
        child.stop()
        self._leaving.append(child)

    def _reap(self) -> None:
        """Take note of all children that have ended; as process 1, also of those that others have left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for child in self._children:
                if child.pid == pid:
                    self._follow(child)
                    child.close()
                    self._on_end(child, os.waitstatus_to_exitcode(status))

    def _on_end(self, child: Child, status: int) -> None:
        if child in self._leaving:
            self._leaving.remove(child)
        elif child is self._successor:
            self._successor = None
            if not self._is_stopping:
                message = (
                    f"SIGHUP has changed nothing: process {child.pid} {_how(status)} before it was ready"
                )
                self._log.write("error", message)
        else:
            self._serving = None
            self._on_loss(child, status)

    def _on_loss(self, child: Child, status: int) -> None:
        """Decide what follows the end of the process that served."""
        if self._is_stopping:
            if status != -signal.SIGTERM:  # which ends a process that is still importing
                self._status = 1 if status < 0 else status
        elif self._was_ready and status:
            self._restarts += 1
            self._replace(child, status)
        else:
            if status < 0:
                message = (
                    f"the server's process {child.pid} {_how(status)} before it was ever ready: giving up"
                )
                self._log.write("critical", message)
            self._status = 1 if status < 0 else status
            self._stop()

    def _replace(self, child: Child, status: int) -> None:
        message = f"the server's process {child.pid} {_how(status)}"
        if self._successor:
            self._serving, self._successor = self._successor, None
            self._log.write("error", f"{message}: process {self._serving.pid} follows")
            return
        served_s = time.monotonic() - child.ready_since if child.ready_since is not None else 0
        wait_s = self._backoff.next_wait_s(served_s)
        self._log.write("error", f"{message}: it is started again in {wait_s:g} s")
        self._restart_at = time.monotonic() + wait_s

    def _restart_if_due(self) -> None:
        if self._restart_at is not None and time.monotonic() >= self._restart_at:
            self._restart_at = None
            self._serving = self._start()


def _how(status: int) -> str:
    if status >= 0:
        return f"has ended with status {status}"
    with contextlib.suppress(ValueError):  # of a real-time signal
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
