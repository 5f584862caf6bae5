"""The application as a deployment of Ray Serve: `serve run clas.serving.ray_app:app`, or serve_config.yaml.

Ray places, routes, scales and heals; each replica is what a single process of the standalone server is.
"""

import asyncio
import contextlib
import dataclasses
import gc
import logging
from collections.abc import Mapping
from typing import Any, Final

import ray
from ray import serve
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ...engine.devices import available_cores
from ...errors import ModelLoadError, StartupError
from ...protocol import MODULE_NAME
from ..launch import Launch, plan_in_process, share_cores
from ..log import set_up_log
from ..metrics import Metrics
from ..service import Service, build_service
from .metrics import Mirror
from .proxy import EnvelopeMiddleware

_LOGGER: Final = logging.getLogger("clas_system")
_POLL_S: Final = 0.05
_CLOSING_S: Final = 5.0


class RunningService:
    """A service with its lifespan and the requests in flight.

    Args:
        service: The application and its predictors.

    Attributes:
        options: The service's.
        pool: The service's.
        check_health: The service's.
    """

    def __init__(self, service: Service) -> None:
        self.options = service.options
        self.pool = service.pool
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
        while self.pool.is_loading:  # noqa: ASYNC110  # a thread loads it
            await asyncio.sleep(_POLL_S)
        if self.pool.has_failed:
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
        await asyncio.to_thread(self.pool.close, _CLOSING_S)
        await self._lifespan.aclose()


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
            await self.service.answer(scope, receive, send)


class Replica:
    """One replica; Ray calls its methods."""

    app: Front  # from serve.ingress

    def __init__(self) -> None:
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
            launch = _plan(user_config)
            set_up_log(launch.options)
            service = RunningService(build_service(launch, self._metrics))
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

    async def check_health(self) -> None:
        """Called by Ray every health_check_period_s; a replica that fails it is replaced.

        Raises:
            UnavailableError: A predictor or a decoder hangs.
        """
        if self.app.service is not None:
            self.app.service.check_health()

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


def _plan(user_config: Mapping[str, Any]) -> Launch:
    """Plan a service on the cores that Ray has reserved for this replica, and their share of the memory."""
    launch = plan_in_process(user_config, "user_config")
    if launch.settings.use_gpu:
        return launch
    context: Any = ray.get_runtime_context()
    reserved = context.get_assigned_resources().get("CPU", 0)  # may be a fraction; 0 reserves none
    all_cores = available_cores()
    cores = min(max(1, int(reserved)), all_cores) if reserved else all_cores
    wanted = launch.settings.cpu_num_threads
    threads = share_cores(launch.options, cores, wanted, is_single=True, part=cores / all_cores)
    settings = dataclasses.replace(launch.settings, cpu_num_threads=wanted or cores)
    return dataclasses.replace(launch, settings=settings, predictor_threads=threads)


def proxy_middlewares() -> list[Middleware]:
    """The middleware of Ray's proxies: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names this function."""
    return [Middleware(EnvelopeMiddleware)]


def build_front() -> ASGIApp:
    """Called by Ray in each replica."""
    return Front()


# A request that waits in a replica can join a batch, so a replica accepts more than it computes at once;
# beyond both limits, requests get 503. serve_config.yaml repeats them, for people to change.
app: Final = serve.deployment(
    name=MODULE_NAME,
    user_config={},
    max_ongoing_requests=64,
    max_queued_requests=256,
    health_check_period_s=5,
    health_check_timeout_s=15,
    graceful_shutdown_wait_loop_s=0.5,
    graceful_shutdown_timeout_s=30,
    ray_actor_options={"num_cpus": 1},
)(serve.ingress(build_front)(Replica)).bind()
