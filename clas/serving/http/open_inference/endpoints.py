"""The addresses of the protocol."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ....errors import NotFoundError
from ....pipeline import Pipeline
from ....protocol import MODELS_PATH
from ...metrics import Metrics
from ...models.served_model import ServedModel
from ..inference import Inference
from ..responses import JsonResponse
from .exchange import Exchange
from .metadata import describe_configuration, describe_model, describe_server
from .statistics import describe_statistics


class OpenInference:
    """Answers the addresses of the protocol.

    Args:
        inference: Runs the requests.
        metrics: What the statistics are made of.
        check_live: Raises UnavailableError if the process isn't well.
    """

    def __init__(self, inference: Inference, metrics: Metrics, check_live: Callable[[], None]) -> None:
        self._inference = inference
        self._models = inference.models
        self._metrics = metrics
        self._check_live = check_live

    def routes(self) -> list[Route]:
        """Return where each of them is."""
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/models/stats", self.all_statistics),
            Route("/v2/models/{name}", self.model),
            Route("/v2/models/{name}/config", self.configuration),
            Route("/v2/models/{name}/ready", self.model_ready),
            Route("/v2/models/{name}/stats", self.statistics),
            Route("/v2/models/{name}/infer", self.infer, methods=["POST"]),
        ]

    async def server(self, _: Request) -> Response:
        """The metadata of the server."""
        return JsonResponse(describe_server())

    async def live(self, _: Request) -> Response:
        """Whether this process is well."""
        self._check_live()
        return JsonResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """Whether all models answer."""
        self._models.check_ready()
        return JsonResponse({"ready": True})

    async def model(self, request: Request) -> Response:
        """The metadata of a model."""
        name = _name_in(request)
        async with self._loaded(name) as pipeline:
            return JsonResponse(describe_model(name, pipeline))

    async def configuration(self, request: Request) -> Response:
        """The configuration of a model."""
        name = _name_in(request)
        async with self._loaded(name) as pipeline:
            max_images = self._inference.options.max_queue_images
            return JsonResponse(describe_configuration(name, pipeline, max_images))

    async def model_ready(self, request: Request) -> Response:
        """Whether a model answers."""
        model = self._models[_name_in(request)]
        model.check_ready()
        return JsonResponse({"name": model.name, "ready": True})

    async def statistics(self, request: Request) -> Response:
        """The statistics of a model."""
        return await self._statistics(self._models[_name_in(request)])

    async def all_statistics(self, _: Request) -> Response:
        """The statistics of all models."""
        return await self._statistics(*self._models)

    async def infer(self, request: Request) -> Response:
        """Run a model; raises as `Inference.respond`."""
        name = _name_in(request)
        max_images = self._inference.options.max_queue_images
        return await self._inference.respond(request, name, lambda: Exchange(request, name, max_images))

    @contextlib.asynccontextmanager
    async def _loaded(self, name: str) -> AsyncIterator[Pipeline]:
        """Keep a model, which is loaded if need be, for the duration of a block."""
        model = self._models[name]
        await self._models.bring(model, time.monotonic() + self._inference.options.timeout_s)
        with model.lease() as pool:
            yield pool.ready_pipeline()

    async def _statistics(self, *models: ServedModel) -> Response:
        totals = await asyncio.get_running_loop().run_in_executor(None, self._metrics.totals)
        return JsonResponse(
            {"model_stats": [describe_statistics(model.name, totals[model.name]) for model in models]}
        )


def _name_in(request: Request) -> str:
    """Return the name of the model in the address."""
    name: str = request.path_params["name"]
    return name


def nothing_at(path: str) -> NotFoundError:
    """Return the error for an address below /v2 that there isn't."""
    shown = path[:80]
    if "sharedmemory" in path:
        return NotFoundError(f"there is nothing at {shown}: shared memory is not supported; send tensors")
    if "/versions/" in path:
        return NotFoundError(f"there is nothing at {shown}: models have no versions here; leave them out")
    return NotFoundError(f"there is nothing at {shown}; models are at {MODELS_PATH}/NAME")
