"""The threads that decode requests."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from ...errors import UnavailableError

_SLACK_S: Final = 10.0  # for one image, after whose end a decoder sees that nobody waits any more

_Result = TypeVar("_Result")


class Decoders:
    """Threads that decode requests, and that know since when they are at it.

    Native code can't be interrupted: a thread that hangs in it is lost, and only a new process has it again.

    Args:
        num_threads: How many requests are decoded at once.
    """

    def __init__(self, num_threads: int) -> None:
        self._executor = ThreadPoolExecutor(num_threads, "decoder")
        self._lock = threading.Lock()
        self._busy_since: dict[int, float] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no thread is at work."""
        with self._lock:
            return not self._busy_since

    @property
    def busy_s(self) -> float:
        """The longest time that a thread has spent on its current request, in seconds; 0 if all are idle."""
        with self._lock:
            since = min(self._busy_since.values(), default=None)
        return 0 if since is None else time.monotonic() - since

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """Call a function in one of the threads; returns its result, or raises its exception."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._call, function)

    def check_health(self, timeout_s: float) -> None:
        """Check that no thread hangs.

        Args:
            timeout_s: How long a request may take.

        Raises:
            UnavailableError: One has been decoded for longer than that.
        """
        busy_s = self.busy_s
        if busy_s > timeout_s + _SLACK_S:
            raise UnavailableError(f"a decoder has been at one request for {math.floor(busy_s)} s")

    def close(self) -> None:
        """Drop what waits for a thread; returns at once."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _call(self, function: Callable[[], _Result]) -> _Result:
        thread = threading.get_ident()
        with self._lock:
            self._busy_since[thread] = time.monotonic()
        try:
            return function()
        finally:
            with self._lock:
                del self._busy_since[thread]
