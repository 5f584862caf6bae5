"""The threads that decode requests."""

import asyncio
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

from ...errors import UnavailableError

_SLACK_S: Final = 10.0  # for one image, after whose end a decoder sees that nobody waits any more

_Result = TypeVar("_Result")


class Decoders:
    """Threads that decode requests, and that know since when they are at it.

    Whatever waits does so in its lane, and the lanes take turns: no model has to wait for all that came for
    another one.

    Native code can't be interrupted: a thread that hangs in it is lost, and only a new process has it again.

    Args:
        num_threads: How many requests are decoded at once.
    """

    def __init__(self, num_threads: int) -> None:
        self._executor = ThreadPoolExecutor(num_threads, "decoder")
        self._lock = threading.Lock()
        self._busy_since: dict[int, float] = {}
        self._lanes: OrderedDict[Hashable, deque[tuple[Callable[[], Any], Future[Any]]]] = OrderedDict()

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

    async def run(self, function: Callable[[], _Result], lane: Hashable = None) -> _Result:
        """Call a function in one of the threads; returns its result, or raises its exception.

        Args:
            function: The function.
            lane: Where it waits.
        """
        future: Future[Any] = Future()
        with self._lock:
            self._lanes.setdefault(lane, deque()).append((function, future))
        self._executor.submit(self._run_next)
        return cast("_Result", await asyncio.wrap_future(future))

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
        with self._lock:
            waiting = [future for lane in self._lanes.values() for _, future in lane]
        for future in waiting:
            future.cancel()

    def _run_next(self) -> None:
        """Call the function that has waited longest in the lane whose turn it is."""
        thread = threading.get_ident()
        with self._lock:
            lane, waiting = self._lanes.popitem(last=False)
            function, future = waiting.popleft()
            if waiting:
                self._lanes[lane] = waiting  # the last one now
            self._busy_since[thread] = time.monotonic()
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(function())
        except BaseException as exc:  # noqa: BLE001  # raised again in the request
            future.set_exception(exc)
        finally:
            with self._lock:
                del self._busy_since[thread]
            del future  # else it would be in a cycle with its exception, which has this frame
