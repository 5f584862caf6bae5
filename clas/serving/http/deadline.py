"""How long a request is worked on: until its time is over, or until its client has gone."""

import asyncio
import time
from types import TracebackType
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

if TYPE_CHECKING:
    from typing_extensions import Self


class Patience:
    """Breaks off what a block waits for, in the task that runs it.

    asyncio.timeout, but with the error that is wanted, and with an eye on the client. One task less for each
    request than asyncio.wait_for and asyncio.wait take.

    Args:
        deadline: Time of `time.monotonic`.
        over: Raised by the block when that has come; may be exchanged meanwhile.
    """

    def __init__(self, deadline: float, over: Exception) -> None:
        self.over = over
        self._deadline = deadline
        self._reason: BaseException | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Self":
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer = loop.call_later(
            max(0.0, self._deadline - time.monotonic()), lambda: self._break_off(self.over)
        )
        return self

    def watch(self, request: Request) -> None:
        """From now on, don't wait for a client that has hung up; its whole body has been received."""
        self._watcher = asyncio.create_task(_disconnected(request))
        self._watcher.add_done_callback(self._stop_watching)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._reason is not None and kind is asyncio.CancelledError:
            reason, self._reason = self._reason, None
            raise reason from exc

    def _stop_watching(self, watcher: "asyncio.Task[None]") -> None:
        if not watcher.cancelled():
            self._break_off(watcher.exception() or ClientDisconnect())

    def _break_off(self, reason: BaseException) -> None:
        if self._reason is None and self._task is not None:
            self._reason = reason
            self._task.cancel()


async def _disconnected(request: Request) -> None:
    """Return when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
