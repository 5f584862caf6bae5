"""Wakes the event loop once per batch.

`asyncio.wrap_future` wakes it for each request of a batch. It buys 0.05 ms of CPU time a request:
python benchmarks/shortcuts.py.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_Result = TypeVar("_Result")


class Notifier:
    """Lets tasks of an event loop await futures that other threads finish."""

    def __init__(self) -> None:
        self._finished: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False

    async def wait(self, future: "Future[_Result]") -> _Result:
        """Await a future; cancels it if the task is cancelled.

        Returns:
            Its result; raises its exception.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(lambda _: self._notify(loop, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future.result()

    def _notify(self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[None]") -> None:
        """Called in any thread.

        The order matters: a callback that is scheduled, but hasn't reset the flag yet, finds this one, too.
        """
        self._finished.append(waiter)
        if not self._is_scheduled and not loop.is_closed():
            self._is_scheduled = True
            loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        self._is_scheduled = False
        while self._finished:
            waiter = self._finished.popleft()
            if not waiter.done():
                waiter.set_result(None)
