"""The ASGI application: routes and lifespan."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import cv2
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from ...allocator import keep_freed_memory
from ...errors import ClasError, MethodError, NotFoundError
from ...protocol import PREDICTIONS_PATH
from ..batching.admission import Room
from ..metrics import Metrics
from ..models.changes import Changes
from ..models.registry import Models
from .auth import Guard
from .cors import cors
from .description import describe_service
from .docs_page import DOCS_ASSETS_PATH, DOCS_PATH, docs_assets, docs_page
from .inference import Inference
from .middleware import RequestMiddleware
from .model_control import ModelControl
from .open_inference.endpoints import OpenInference, nothing_at
from .openapi import describe_api
from .outbox import Outbox
from .predict import Predict
from .prefix import prefix_of, prefixes
from .responses import JsonResponse, failure, is_open_inference
from .web_ui import ASSETS_PATH, ICON_PATH, UI_PATH, assets, icon, page

_LOGGER: Final = logging.getLogger("clas_system")

_TICK_S: Final = 1.0
_KEPT_BLOCK: Final = 32 * 2**20
"""Bytes of the largest block of memory that is kept when it is freed; a decoded photograph has millions."""
_KEPT: Final = 64 * 2**20
"""Bytes that each thread keeps; what glibc arrives at by itself once such a block was freed."""


def create_app(
    inference: Inference,
    room: Room,
    metrics: Metrics,
    guard: Guard,
    changes: Changes | None,
    workers: int,
) -> Starlette:
    """Create the application of one process.

    Args:
        inference: Runs requests; its models are loaded when the application starts, if they weren't before.
        room: For the bytes of requests and responses.
        metrics: Where requests are counted.
        guard: Checks who may ask for what.
        changes: Loads and unloads models; None where something else does.
        workers: The number of processes, to be shown.
    """
    models, decoders = inference.models, inference.decoders
    endpoints = _Endpoints(inference, metrics, workers)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        models.start()
        keep_freed_memory(_KEPT_BLOCK, _KEPT)
        cv2.setNumThreads(1)  # there is a decoder per core already
        gc.collect()
        gc.freeze()  # what is there now stays: later collections needn't look at it
        ticker = asyncio.create_task(_tick(metrics))
        yield
        ticker.cancel()
        decoders.close()

    open_inference = OpenInference(inference, metrics, endpoints.check_live)
    outbox = Outbox(room, metrics.unsent)
    options = inference.options
    app = Starlette(
        routes=[
            Route(f"{PREDICTIONS_PATH}/{{name}}", Predict(inference).respond, methods=["POST"]),
            Route("/", endpoints.root),
            Route("/health/live", endpoints.live),
            Route("/health/ready", endpoints.ready),
            Route("/metrics", endpoints.metrics),
            Route("/openapi.json", endpoints.openapi),
            Route(DOCS_PATH, docs_page),
            Mount(DOCS_ASSETS_PATH, docs_assets()),
            Route(UI_PATH, page),
            Route(ICON_PATH, icon),
            Mount(ASSETS_PATH, assets()),
            *open_inference.routes(),
            *ModelControl(models, changes).routes(),
        ],
        middleware=[
            *cors(options.allow_origin),
            *prefixes(options.root_path, options.forwarded_allow_ips),
            Middleware(RequestMiddleware, models=models, metrics=metrics, guard=guard, outbox=outbox),
        ],
        exception_handlers={HTTPException: partial(_refuse_path, models)},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # RequestMiddleware takes them off
    return app


class _Endpoints:
    """All endpoints but predictions."""

    def __init__(self, inference: Inference, metrics: Metrics, workers: int) -> None:
        self._options = inference.options
        self._models = inference.models
        self._decoders = inference.decoders
        self._metrics = metrics
        self._workers = workers

    async def root(self, request: Request) -> Response:
        """What runs here."""
        prefix = prefix_of(request.scope)
        return JsonResponse(describe_service(self._models, self._options, self._workers, prefix))

    async def live(self, _: Request) -> Response:
        """Whether this process is well: its event loop, its predictors and its decoders."""
        self.check_live()
        return JsonResponse({"status": "live"})

    async def ready(self, _: Request) -> Response:
        """Whether requests are answered."""
        self._models.check_ready()
        return JsonResponse({"status": "ready"})

    def check_live(self) -> None:
        """Raise UnavailableError if a predictor or a decoder hangs."""
        self._models.check_health(self._options.timeout_s)
        self._decoders.check_health(self._options.timeout_s)

    async def metrics(self, _: Request) -> Response:
        """Metrics for Prometheus."""
        facts = [model.facts for model in self._models]
        text = await asyncio.get_running_loop().run_in_executor(None, self._metrics.exposition, facts)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        names = [model.name for model in self._models]
        return JsonResponse(describe_api(self._options, names, prefix_of(request.scope)))


def _refuse_path(models: Models, request: Request, exc: Exception) -> Response:
    """Put Starlette's own error responses into our envelope."""
    if not isinstance(exc, HTTPException):
        raise exc
    path = request.url.path
    error: ClasError
    is_of_open_inference = is_open_inference(path)
    if exc.status_code == MethodError.http_status:
        is_astray = request.method == "POST" and not is_of_open_inference
        hint = f"; predictions are at {_predictions_at(models, request)}" if is_astray else ""
        error = MethodError(f"{request.method} is not allowed for {path[:80]}{hint}")
    elif is_of_open_inference:
        error = nothing_at(path)
    else:
        where = _predictions_at(models, request)
        error = NotFoundError(f"there is nothing at {path[:80]}; predictions are at {where}")
    response = failure(error, path)
    response.headers.update(exc.headers or {})
    return response


def _predictions_at(models: Models, request: Request) -> str:
    name = models.first.name if len(models) == 1 and models.first else "NAME"
    return f"{prefix_of(request.scope)}{PREDICTIONS_PATH}/{name}"


async def _tick(metrics: Metrics) -> None:
    """Update the memory gauge, and break reference cycles.

    A traceback is a cycle that keeps a failed request's images. Python collects cycles by the number of
    objects, however large they are: a few large requests would take all memory before that.
    """
    loop = asyncio.get_running_loop()
    has_failed = False
    while True:
        gc.collect()
        try:
            await loop.run_in_executor(None, metrics.update_memory)
        except Exception as exc:  # noqa: BLE001  # no descriptors, no threads: it goes on when there are some
            if not has_failed:
                _LOGGER.warning("the memory can't be measured: %s", exc)
            has_failed = True
        else:
            has_failed = False
        await asyncio.sleep(_TICK_S)
