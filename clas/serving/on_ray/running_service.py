"""A service in a replica, from its start to its last answer."""

import asyncio
import contextlib
from typing import Final

from starlette.types import Receive, Scope, Send

from ...errors import ModelLoadError
from ..service import Service

_POLL_S: Final = 0.05
_CLOSING_S: Final = 5.0


class RunningService:
    """A service with its lifespan and the requests in flight.

    Args:
        service: The application and its predictors.

    Attributes:
        options: The service's.
        models: The service's.
        check_health: The service's.
    """

    def __init__(self, service: Service) -> None:
        self.options = service.options
        self.models = service.models
        self.check_health = service.check_health
        self._app = service.app
        self._lifespan = contextlib.AsyncExitStack()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def open(self) -> None:
        """Load the model.

        Raises:
            ModelLoadError: It can't be loaded; the log has the reason.
        """
        await self._lifespan.enter_async_context(self._app.router.lifespan_context(self._app))
        while self.models.is_loading:  # noqa: ASYNC110  # a thread loads them
            await asyncio.sleep(_POLL_S)
        if self.models.has_failed:
            await self.close()
            raise ModelLoadError("the model can't be loaded; the replica's log has the reason")

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._in_flight += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def close(self) -> None:
        """Answer the requests in flight, then end the predictors."""
        await self._idle.wait()
        await asyncio.to_thread(self.models.close, _CLOSING_S)
        await self._lifespan.aclose()
