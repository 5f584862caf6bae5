"""The addresses of the protocol."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ....errors import NotFoundError
from ....protocol import MODELS_PATH, MODULE_NAME
from ...metrics import Metrics
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
        check_ready: Raises UnavailableError while requests aren't answered.
    """

    def __init__(
        self,
        inference: Inference,
        metrics: Metrics,
        check_live: Callable[[], None],
        check_ready: Callable[[], None],
    ) -> None:
        self._models = {MODULE_NAME: inference}
        self._metrics = metrics
        self._check_live = check_live
        self._check_ready = check_ready

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
        self._check_ready()
        return JsonResponse({"ready": True})

    async def model(self, request: Request) -> Response:
        """The metadata of a model."""
        name, inference = self._find(request)
        return JsonResponse(describe_model(name, inference.pool.ready_pipeline()))

    async def configuration(self, request: Request) -> Response:
        """The configuration of a model."""
        name, inference = self._find(request)
        pipeline = inference.pool.ready_pipeline()
        return JsonResponse(describe_configuration(name, pipeline, inference.options.max_queue_images))

    async def model_ready(self, request: Request) -> Response:
        """Whether a model answers."""
        name, _ = self._find(request)
        self._check_ready()
        return JsonResponse({"name": name, "ready": True})

    async def statistics(self, request: Request) -> Response:
        """The statistics of a model."""
        return await self._statistics(self._find(request)[0])

    async def all_statistics(self, _: Request) -> Response:
        """The statistics of all models."""
        return await self._statistics(*self._models)

    async def infer(self, request: Request) -> Response:
        """Run a model.

        Raises:
            NotFoundError: There is no model of this name.
            ClasError: As `Inference.respond`.
        """
        name, inference = self._find(request)
        max_images = inference.options.max_queue_images
        return await inference.respond(request, lambda: Exchange(request, name, max_images))

    def _find(self, request: Request) -> tuple[str, Inference]:
        name = request.path_params.get("name", "")
        if name not in self._models:
            raise NotFoundError(f"there is no model {name[:80]!r}; this server has {', '.join(self._models)}")
        return name, self._models[name]

    async def _statistics(self, *names: str) -> Response:
        totals = await asyncio.get_running_loop().run_in_executor(None, self._metrics.totals)
        return JsonResponse({"model_stats": [describe_statistics(name, totals) for name in names]})


def nothing_at(path: str) -> NotFoundError:
    """Return the error for an address below /v2 that there isn't."""
    shown = path[:80]
    if "sharedmemory" in path:
        return NotFoundError(f"there is nothing at {shown}: shared memory is not supported; send tensors")
    if "/versions/" in path:
        return NotFoundError(f"there is nothing at {shown}: models have no versions here; leave them out")
    return NotFoundError(f"there is nothing at {shown}; models are at {MODELS_PATH}/NAME")
