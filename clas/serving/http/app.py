"""The ASGI application: routes and lifespan."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
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
from ...errors import ClasError, MethodError, NotFoundError, UnavailableError
from ...protocol import MODULE_NAME, PREDICT_PATH, VERSION
from ..batching.admission import Admission
from ..batching.pool import Pool
from ..metrics import Metrics
from ..options import ServerOptions
from .auth import Tokens
from .cors import cors
from .decoders import Decoders
from .docs_page import DOCS_ASSETS_PATH, DOCS_PATH, docs_assets, docs_page
from .inference import Inference
from .middleware import RequestMiddleware
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
    options: ServerOptions,
    pool: Pool,
    decoders: Decoders,
    metrics: Metrics,
    tokens: Tokens | None,
    workers: int,
) -> Starlette:
    """Create the application of one process.

    Args:
        options: The limits.
        pool: The predictors; they are loaded when the application starts, if they weren't before.
        decoders: The threads that decode requests.
        metrics: Where requests are counted.
        tokens: The valid tokens; None for no authentication.
        workers: The number of processes, to be shown.
    """
    endpoints = _Endpoints(options, pool, decoders, metrics, workers)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        pool.start()
        keep_freed_memory(_KEPT_BLOCK, _KEPT)
        cv2.setNumThreads(1)  # there is a decoder per core already
        gc.collect()
        gc.freeze()  # what is there now stays: later collections needn't look at it
        ticker = asyncio.create_task(_tick(metrics))
        yield
        ticker.cancel()
        decoders.close()

    admission = Admission(options.max_queue_images, options.max_queue_bytes, metrics.queue_images.set)
    inference = Inference(pool, options, metrics, decoders, admission)
    predict = Predict(inference)
    open_inference = OpenInference(inference, metrics, endpoints.check_live, endpoints.check_ready)
    outbox = Outbox(admission, metrics.unsent)
    app = Starlette(
        routes=[
            Route(PREDICT_PATH, predict.respond, methods=["POST"]),
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
        ],
        middleware=[
            *cors(options.allow_origin),
            *prefixes(options.root_path, options.forwarded_allow_ips),
            Middleware(RequestMiddleware, metrics=metrics, tokens=tokens, outbox=outbox),
        ],
        exception_handlers={HTTPException: _refuse_path},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # RequestMiddleware takes them off
    return app


class _Endpoints:
    """All endpoints but predictions."""

    def __init__(
        self, options: ServerOptions, pool: Pool, decoders: Decoders, metrics: Metrics, workers: int
    ) -> None:
        self._options = options
        self._pool = pool
        self._decoders = decoders
        self._metrics = metrics
        self._workers = workers

    async def root(self, request: Request) -> Response:
        """What runs here."""
        prefix = prefix_of(request.scope)
        options, pipeline = self._options, self._pool.pipeline
        limits = {
            name: getattr(options, name)
            for name in ("max_request_bytes", "max_queue_images", "max_queue_bytes", "timeout_s")
        }
        serving, wanted = self._pool.predictors
        return JsonResponse(
            {
                "name": MODULE_NAME,
                "version": VERSION,
                "state": "loading" if self._pool.is_loading else "ready",
                "model": pipeline.describe() if pipeline else None,
                "workers": self._workers,
                "predictors": {"serving": serving, "wanted": wanted},
                "limits": limits,
                "predict": f"{prefix}{PREDICT_PATH}",
                "docs": f"{prefix}{DOCS_PATH}",
                "ui": f"{prefix}{UI_PATH}",
            }
        )

    async def live(self, _: Request) -> Response:
        """Whether this process is well: its event loop, its predictors and its decoders."""
        self.check_live()
        return JsonResponse({"status": "live"})

    async def ready(self, _: Request) -> Response:
        """Whether requests are answered."""
        self.check_ready()
        return JsonResponse({"status": "ready"})

    def check_live(self) -> None:
        """Raise UnavailableError if a predictor or a decoder hangs."""
        self._pool.check_health(self._options.timeout_s)
        self._decoders.check_health(self._options.timeout_s)

    def check_ready(self) -> None:
        """Raise UnavailableError while no predictor serves."""
        self._pool.ready_pipeline()
        if self._pool.is_loading:
            raise UnavailableError("the model is being loaded again")

    async def metrics(self, _: Request) -> Response:
        """Metrics for Prometheus."""
        engine = self._pool.pipeline.engine if self._pool.pipeline else None
        text = await asyncio.get_running_loop().run_in_executor(None, self._metrics.exposition, engine)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return JsonResponse(describe_api(self._options, prefix_of(request.scope)))


def _refuse_path(request: Request, exc: Exception) -> Response:
    """Put Starlette's own error responses into our envelope."""
    if not isinstance(exc, HTTPException):
        raise exc
    path = request.url.path
    predict_path = f"{prefix_of(request.scope)}{PREDICT_PATH}"
    error: ClasError
    is_of_open_inference = is_open_inference(path)
    if exc.status_code == MethodError.http_status:
        is_astray = request.method == "POST" and not is_of_open_inference
        hint = f"; predictions are at {predict_path}" if is_astray else ""
        error = MethodError(f"{request.method} is not allowed for {path[:80]}{hint}")
    elif is_of_open_inference:
        error = nothing_at(path)
    else:
        error = NotFoundError(f"there is nothing at {path[:80]}; predictions are at {predict_path}")
    response = failure(error, path)
    response.headers.update(exc.headers or {})
    return response


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
