"""From the threads that finish something to the event loop that waits for it."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_Result = TypeVar("_Result")


class Mailbox:
    """Lets an event loop wait for futures of other threads.

    What is finished in one go, as the requests of a batch are, wakes the loop once; asyncio.wrap_future would
    wake it for each.
    """

    def __init__(self) -> None:
        self._arrived: deque[asyncio.Future[None]] = deque()
        self._is_loop_told = False

    async def wait(self, future: "Future[_Result]") -> _Result:
        """Wait until a future is done; cancel it if this is cancelled.

        Returns:
            Its result; raises its exception.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        future.add_done_callback(lambda _: self._put(loop, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future.result()

    def _put(self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[None]") -> None:
        """Called in any thread.

        The order matters: while the loop is told, but hasn't begun to hand out, it will find this one, too.
        """
        self._arrived.append(waiter)
        if not self._is_loop_told and not loop.is_closed():
            self._is_loop_told = True
            loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        self._is_loop_told = False
        while self._arrived:
            waiter = self._arrived.popleft()
            if not waiter.done():
                waiter.set_result(None)
