"""Signals that wait for a loop around select; imports the standard library only."""

import contextlib
import os
import signal
from collections import deque
from types import FrameType
from typing import Final

_HANDLED: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD")
_IGNORED: Final = ("SIGTTIN", "SIGTTOU")  # which would stop the parent; gunicorn's supervisor takes them


class SignalQueue:
    """Gathers what this process is sent, from now on; `select` takes it.

    A hangup comes from whoever wants a reload, and also from a terminal that is closed: that is SIGTERM here,
    unless the process was started with nohup.
    """

    def __init__(self) -> None:
        self._numbers: deque[int] = deque()
        is_detached = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._has_terminal = not is_detached and _is_there_a_terminal()
        self._readable, writable = os.pipe()
        for end in (self._readable, writable):
            os.set_blocking(end, False)
        for name in _IGNORED:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        for name in _HANDLED:
            signal.signal(getattr(signal, name), self._gather)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a signal has come."""
        return self._readable

    def drain(self) -> list[int]:
        """Return the signals that have come since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._readable, 4096)
        numbers = [self._numbers.popleft() for _ in range(len(self._numbers))]
        if self._has_terminal and signal.SIGHUP in numbers and not _is_there_a_terminal():
            return [signal.SIGTERM if number == signal.SIGHUP else number for number in numbers]
        return numbers

    def _gather(self, number: int, _: FrameType | None) -> None:
        self._numbers.append(number)


def _is_there_a_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
