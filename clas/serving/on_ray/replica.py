"""What Ray starts in each replica: the service of one model, which its configuration replaces as it runs."""

import asyncio
import gc
import logging
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import StartupError, UnavailableError
from ..http.description import describe_service
from ..http.open_inference.statistics import describe_statistics
from ..log import set_up_log
from ..metrics import Metrics
from ..service import Service, build_service
from .detour import undo_detour
from .metrics import Mirror
from .plan import plan_model
from .running_service import RunningService

_LOGGER: Final = logging.getLogger("clas_system")


class Front:
    """The ASGI application that Ray sees; passes each request to the current service.

    Attributes:
        service: None until the first configuration was applied.
    """

    def __init__(self) -> None:
        self.service: RunningService | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or Ray's lifespan events."""
        if scope["type"] == "lifespan":  # each service has its own
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif self.service is not None:
            await self.service.answer(undo_detour(scope), receive, send)


def build_front() -> ASGIApp:
    """Called by Ray in each replica."""
    return Front()


class Replica:
    """One replica; Ray calls its methods, and those of its handles `describe` and what follows it.

    Args:
        name: That of its only model; empty for what its configuration names.
        given: Names of settings and of server options; a configuration has the last word.
    """

    app: Front  # from serve.ingress

    def __init__(self, name: str = "", given: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self._given = given or {}
        self._metrics = Metrics()
        self._mirror = Mirror(self._metrics.registry)
        self._closing: set[asyncio.Task[None]] = set()

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Load what the configuration asks for, then switch to it.

        The current service answers meanwhile. It also stays if the new configuration is invalid: Ray would
        end one replica after the other, and nobody would answer.

        Args:
            user_config: Names of settings and of server options, as the flags of the standalone server.

        Raises:
            StartupError: It is invalid, and there is no current service.
        """
        before = self.app.service
        try:
            service = RunningService(self._build(user_config))
            await service.open()
        except StartupError as exc:
            _LOGGER.critical("%s: %s", type(exc).__name__, exc)
            if before is None:
                raise
            set_up_log(before.options)
            _LOGGER.critical("this configuration can't be used: the one before stays")
            return
        self.app.service = service
        self._mirror.start()
        if before is not None:
            _LOGGER.info("a new configuration has taken over")
            task = asyncio.create_task(_retire(before))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _build(self, user_config: Mapping[str, Any]) -> Service:
        """Build what the configuration asks for; nothing is loaded yet.

        Raises:
            StartupError: It is invalid.
        """
        launch = plan_model(self._name, {**self._given, **user_config})
        set_up_log(launch.options)
        return build_service(launch, self._metrics, open_changes=lambda _: None)

    async def check_health(self) -> None:
        """Called by Ray every health_check_period_s; a replica that fails it is replaced.

        Raises:
            UnavailableError: A predictor or a decoder hangs.
        """
        if self.app.service is not None:
            self.app.service.check_health()

    async def describe(self) -> dict[str, object]:
        """Return what `GET /` tells."""
        options = self._service.options
        return describe_service(self._service.models, options, 1, options.root_path)

    async def exposition(self) -> bytes:
        """Return what `GET /metrics` tells."""
        facts = [model.facts for model in self._service.models]
        return await asyncio.to_thread(self._metrics.exposition, facts)

    async def statistics(self) -> list[dict[str, object]]:
        """Return what `GET /v2/models/stats` tells of each model."""
        totals = await asyncio.to_thread(self._metrics.totals)
        return [describe_statistics(model.name, totals[model.name]) for model in self._service.models]

    @property
    def _service(self) -> RunningService:
        if self.app.service is None:
            raise UnavailableError("the replica has no configuration yet")
        return self.app.service

    async def __del__(self) -> None:
        """Called by Ray when a stopping replica has answered everything."""
        self._mirror.stop()
        if self.app.service is not None:
            await self.app.service.close()


async def _retire(service: RunningService) -> None:
    """Close a replaced service, and free its memory."""
    await service.close()
    del service
    gc.unfreeze()  # it was frozen with everything else when it started
    gc.collect()
    gc.freeze()
