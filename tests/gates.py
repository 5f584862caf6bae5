"""Ways to hold a thread where a test wants it, and to wait for what another thread does: no test sleeps."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE_S = 30.0
"""After which what a test waits for counts as never coming; far more than it takes."""


class Gate:
    """Something that threads pass, and that a test can close for the time of a block."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def enter(self) -> None:
        """Pass, as soon as it is open."""
        self._arrived.set()
        assert self._open.wait(PATIENCE_S), "the gate was never opened"

    def open(self) -> None:
        self._open.set()

    def wait_for_arrival(self) -> None:
        """Return when a thread has come to the closed gate."""
        assert self._arrived.wait(PATIENCE_S), "nobody came to the gate"

    @contextlib.contextmanager
    def closed(self) -> Iterator["Gate"]:
        self._arrived.clear()
        self._open.clear()
        try:
            yield self
        finally:
            self._open.set()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.002)
