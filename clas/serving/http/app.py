"""The ASGI application: which path answers what."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import cv2
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from swagger_ui_bundle import swagger_ui_path

from ...allocator import keep_freed_memory
from ...engine.paddle_config import available_cores
from ...errors import ClasError, MethodError, NotFoundError, UnavailableError
from ...protocol import VERSION
from ..batching.pool import Engine
from ..metrics import Metrics
from ..options import ServerOptions
from ..process.server import DECODER
from .auth import Tokens
from .middleware import PREDICT_PATH, Conduct
from .openapi import DOCS_PAGE, describe_api
from .predict import Predict
from .responses import JsonResponse, refusal
from .web_ui import ASSETS_PATH, UI_PATH, Assets, page

_TICK_S: Final = 1.0
_KEPT_BLOCK: Final = 32 * 2**20
"""Bytes of the largest block of memory that is kept when it is freed; a decoded photograph has millions."""
_KEPT: Final = 64 * 2**20
"""Bytes that each thread keeps; what the C library comes to by itself once such a block was freed."""


def create_app(
    options: ServerOptions, engine: Engine, metrics: Metrics, tokens: Tokens | None, workers: int
) -> Starlette:
    """Build the application of one process.

    Args:
        options: The limits.
        engine: The model; begins to load when the application starts, if it hasn't before.
        metrics: Where requests are counted.
        tokens: Who may ask; None for everybody.
        workers: How many processes there are, to be shown.
    """
    executor = ThreadPoolExecutor(available_cores(), DECODER)
    endpoints = _Endpoints(options, engine, metrics, workers)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        engine.start()
        keep_freed_memory(_KEPT_BLOCK, _KEPT)
        cv2.setNumThreads(1)  # the decoders are as many as there are cores already
        gc.collect()
        gc.freeze()  # what is there now stays: later collections needn't look at it
        ticker = asyncio.create_task(_tick(metrics))
        yield
        ticker.cancel()
        executor.shutdown(wait=False, cancel_futures=True)

    predict = Predict(engine, options, metrics, executor)
    return Starlette(
        routes=[
            Route(PREDICT_PATH, predict.respond, methods=["POST"]),
            Route("/", endpoints.root),
            Route("/health/live", endpoints.live),
            Route("/health/ready", endpoints.ready),
            Route("/metrics", endpoints.metrics),
            Route("/openapi.json", endpoints.openapi),
            Route("/docs", endpoints.docs),
            Mount("/docs/assets", StaticFiles(directory=swagger_ui_path)),
            Route(UI_PATH, page),
            Mount(ASSETS_PATH, Assets()),
        ],
        middleware=[
            Middleware(Conduct, metrics=metrics, tokens=tokens),
            Middleware(_Shortcut, predict=predict),
        ],
        exception_handlers={HTTPException: _refuse_path},
        lifespan=lifespan,
    )


class _Shortcut:
    """ASGI middleware: predictions go past the router and what is around it, which take their time."""

    def __init__(self, app: ASGIApp, predict: Predict) -> None:
        self._app = app
        self._predict = predict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PREDICT_PATH and scope["method"] == "POST":
            response = await self._predict.respond(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Endpoints:
    """Everything but the predictions."""

    def __init__(self, options: ServerOptions, engine: Engine, metrics: Metrics, workers: int) -> None:
        self._options = options
        self._engine = engine
        self._metrics = metrics
        self._workers = workers

    async def root(self, _: Request) -> Response:
        """What runs here."""
        options, classifier = self._options, self._engine.classifier
        limits = {
            name: getattr(options, name)
            for name in ("max_request_bytes", "max_queue_images", "max_queue_bytes", "timeout_s")
        }
        serving, wanted = self._engine.predictors
        return JsonResponse(
            {
                "name": "clas_system",
                "version": VERSION,
                "state": "loading" if self._engine.is_loading else "ready",
                "model": classifier.describe() if classifier else None,
                "workers": self._workers,
                "predictors": {"serving": serving, "wanted": wanted},
                "limits": limits,
                "predict": PREDICT_PATH,
                "docs": "/docs",
                "ui": UI_PATH,
            }
        )

    async def live(self, _: Request) -> Response:
        """Whether this process is well: its event loop, and the predictor's owner."""
        self._engine.batcher.check_pace(self._options.timeout_s)
        return JsonResponse({"status": "live"})

    async def ready(self, _: Request) -> Response:
        """Whether requests are answered."""
        self._engine.usable()
        if self._engine.is_loading:
            raise UnavailableError("the model is being loaded again")
        return JsonResponse({"status": "ready"})

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        text = await asyncio.get_running_loop().run_in_executor(None, self._metrics.exposition)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _: Request) -> Response:
        """The schema of the interface."""
        return JsonResponse(describe_api(self._options))

    async def docs(self, _: Request) -> Response:
        """The same for people."""
        return HTMLResponse(DOCS_PAGE)


def _refuse_path(request: Request, exc: Exception) -> Response:
    """Put Starlette's own refusals into our envelope."""
    if not isinstance(exc, HTTPException):
        raise exc
    path = request.url.path[:80]
    error: ClasError
    if exc.status_code == MethodError.http_status:
        error = MethodError(f"{request.method} is not for {path}")
    else:
        error = NotFoundError(f"there is nothing at {path}; predictions are at {PREDICT_PATH}")
    response = refusal(error)
    response.headers.update(exc.headers or {})
    return response


async def _tick(metrics: Metrics) -> None:
    """Tell the memory in use; and free what a failed request has left.

    An exception's traceback is a ring of objects with the request's images in it. Python frees rings when
    there are many objects, however large they are: a few large requests would take all memory before that.
    """
    while True:
        metrics.update_memory()
        gc.collect()
        await asyncio.sleep(_TICK_S)
