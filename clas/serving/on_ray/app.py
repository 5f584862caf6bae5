"""The same application on Ray Serve: `serve run clas.serving.ray_app:app`, or serve_config.yaml.

Ray places, routes, scales and heals; each replica is what the standalone server's one process is.
"""

import asyncio
import contextlib
import dataclasses
import gc
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import ray
from ray import serve
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ...engine.paddle_config import available_cores
from ...errors import ModelLoadError, StartupError
from ..batching.pool import Engine
from ..batching.predictor_process import PredictorProcess
from ..http.app import create_app
from ..http.auth import load_tokens
from ..launch import Plan, plan_of_names
from ..log import set_up_log
from ..metrics import Metrics
from .metrics import Mirror
from .proxy import Envelope

_LOGGER: Final = logging.getLogger("clas_system")
_POLL_S: Final = 0.05
_CLOSING_S: Final = 5.0


class Service:
    """A loaded model with its application.

    Args:
        plan: What to load.
        metrics: Where requests are counted.
    """

    def __init__(self, plan: Plan, metrics: Metrics) -> None:
        options = plan.options
        open_predictor = partial(PredictorProcess, options=options)
        self.options = options
        tokens = load_tokens(Path(options.token_file)) if options.token_file else None
        self.engine = Engine(
            *(plan.settings, options.batch_wait_ms / 1000, metrics.batch_size.observe, open_predictor),
            plan.predictor_threads,
        )
        self.app = create_app(options, self.engine, metrics, tokens, 1)
        self._lifespan = contextlib.AsyncExitStack()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def open(self) -> None:
        """Load the model.

        Raises:
            ModelLoadError: It can't be; the log has the reason.
        """
        await self._lifespan.enter_async_context(self.app.router.lifespan_context(self.app))
        while self.engine.is_loading:  # noqa: ASYNC110  # a thread loads it
            await asyncio.sleep(_POLL_S)
        if self.engine.has_failed:
            await self.close()
            raise ModelLoadError("the model can't be loaded; the replica's log has the reason")

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._in_flight += 1
        self._idle.clear()
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def close(self) -> None:
        """Answer what is under way, then end the model."""
        await self._idle.wait()
        await asyncio.to_thread(self.engine.close, _CLOSING_S)
        await self._lifespan.aclose()


class Front:
    """The ASGI application that Ray sees; hands each request to the service of that moment.

    Attributes:
        service: None until the first configuration has come.
    """

    def __init__(self) -> None:
        self.service: Service | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow Ray's start and end."""
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
        """Load what the configuration asks for, then let it take over.

        Meanwhile, and for what has come before, the service that was there answers. It also stays when the
        new configuration can't be used: Ray would end the replica, one after the other, and nobody would
        answer.

        Args:
            user_config: Names of settings and of server options, as the flags of the standalone server.

        Raises:
            StartupError: It can't be used, and there is no service yet.
        """
        before = self.app.service
        try:
            plan = _plan(user_config)
            set_up_log(plan.options)
            service = Service(plan, self._metrics)
            await service.open()
        except StartupError as exc:
            _LOGGER.critical("%s: %s", type(exc).__name__, exc)
            if before is None:
                raise
            set_up_log(before.options)
            _LOGGER.critical("this configuration can't be used: the one before goes on")
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
            UnavailableError: The predictor's owner hangs.
        """
        if self.app.service is not None:
            self.app.service.engine.batcher.check_pace(self.app.service.options.timeout_s)

    async def __del__(self) -> None:
        """Called by Ray when a replica that stops has answered everything."""
        self._mirror.stop()
        if self.app.service is not None:
            await self.app.service.close()


async def _retire(service: Service) -> None:
    """End a service that another one has taken over from, and free its memory."""
    await service.close()
    del service
    gc.unfreeze()  # it was frozen with all else when it started
    gc.collect()
    gc.freeze()


def _plan(user_config: Mapping[str, Any]) -> Plan:
    """Those cores are used that Ray has set aside for this replica."""
    plan = plan_of_names(user_config, "user_config")
    if plan.settings.use_gpu:
        return plan
    context: Any = ray.get_runtime_context()
    given = context.get_assigned_resources().get("CPU", 0)  # may be a part of one; 0 sets none aside
    cores = min(max(1, int(given)), available_cores()) if given else available_cores()
    asked = plan.settings.cpu_num_threads
    threads = plan.options.predictor_threads(cores, asked, is_single=True)
    settings = dataclasses.replace(plan.settings, cpu_num_threads=asked or cores)
    return dataclasses.replace(plan, settings=settings, predictor_threads=threads)


def proxy_middlewares() -> list[Middleware]:
    """What Ray's proxies are to have around them: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names this."""
    return [Middleware(Envelope)]


def build_front() -> ASGIApp:
    """Called by Ray in each replica."""
    return Front()


# A request that waits in a replica can join a batch, so a replica takes more than it computes at once;
# what is more than both numbers gets 503. serve_config.yaml says the same, for people to change.
app: Final = serve.deployment(
    name="clas_system",
    user_config={},
    max_ongoing_requests=64,
    max_queued_requests=256,
    health_check_period_s=5,
    health_check_timeout_s=15,
    graceful_shutdown_wait_loop_s=0.5,
    graceful_shutdown_timeout_s=30,
    ray_actor_options={"num_cpus": 1},
)(serve.ingress(build_front)(Replica)).bind()
