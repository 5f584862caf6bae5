"""What is said of all models of a cluster at once: `GET /`, the page, the metrics, whether they are ready."""

import asyncio
from collections.abc import Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import NotFoundError, UnavailableError, UnsupportedError
from ...protocol import MODELS_PATH, OPEN_INFERENCE_PATH, PREDICTIONS_PATH
from ..http.description import describe_service
from ..http.openapi import describe_api
from ..http.responses import JsonResponse, is_open_inference
from ..log import set_up_log
from ..metrics import Metrics
from ..models.served_model import State
from ..service import Service, build_service
from .deployed_models import DeployedModel, DeployedModels
from .joined_metrics import join_metrics
from .plan import plan_overview
from .replica import Replica


class OverviewReplica(Replica):
    """A replica that has no model, and asks those of all models."""

    def _build(self, user_config: Mapping[str, Any]) -> Service:
        names, launch = plan_overview(user_config)
        set_up_log(launch.options)
        service = build_service(launch, self._metrics, open_changes=lambda _: None)
        overview = Overview(DeployedModels(names), service, self._metrics)
        service.app.routes[:0] = overview.routes()
        return service


class Overview:
    """Answers what the service of a single model answers for itself.

    Args:
        models: The models.
        service: A service without a model; it answers all else.
        metrics: Those of this process.
    """

    def __init__(self, models: DeployedModels, service: Service, metrics: Metrics) -> None:
        self._models = models
        self._service = service
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Return where it answers."""
        return [
            Route("/", self.root),
            Route("/health/ready", self.ready),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
            Route(f"{OPEN_INFERENCE_PATH}/health/ready", self.ready),
            Route(f"{MODELS_PATH}/stats", self.statistics),
            Route(f"{PREDICTIONS_PATH}/{{name}}", self.refuse, methods=["POST"]),
            Route(f"{MODELS_PATH}/{{name}}", self.refuse),
            Route(f"{MODELS_PATH}/{{name}}/{{rest}}", self.refuse, methods=["GET", "POST"]),
        ]

    async def root(self, _: Request) -> Response:
        """The models, as one server would tell of them."""
        answers = await self._models.ask("describe")
        described = [answer.content for answer in answers if answer.content]
        options = self._service.options
        first = described[0] if described else self._alone()
        is_loading = not described and any(model.state is State.LOADING for model, _ in answers)
        entries = [
            {
                **model.describe(options.root_path),
                **(content["models"][0] if content else {}),
                "state": model.state.value,
            }
            for model, content in answers
        ]
        return JsonResponse({**first, "state": "loading" if is_loading else "ready", "models": entries})

    def _alone(self) -> dict[str, object]:
        """Return what there is to tell without a model."""
        options = self._service.options
        return describe_service(self._service.models, options, 1, options.root_path)

    async def ready(self, request: Request) -> Response:
        """Whether a model answers."""
        models = await self._models.look()
        if not any(model.is_answering for model in models):
            states = ", ".join(f"{model.name} is {model.state.value}" for model in models) or "there is none"
            raise UnavailableError(f"no model answers: {states}")
        return JsonResponse({"ready": True} if is_open_inference(request.url.path) else {"status": "ready"})

    async def metrics(self, _: Request) -> Response:
        """The metrics of this process, and of a replica of each model."""
        answers = await self._models.ask("exposition")
        own = await asyncio.to_thread(self._metrics.exposition)
        texts = [own, *(answer.content for answer in answers if answer.content)]
        return Response(await asyncio.to_thread(join_metrics, texts), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document."""
        options = self._service.options
        return JsonResponse(describe_api(options, self._models.names, options.root_path))

    async def statistics(self, _: Request) -> Response:
        """The statistics of a replica of each model."""
        answers = await self._models.ask("statistics")
        return JsonResponse({"model_stats": [one for answer in answers for one in answer.content or ()]})

    async def refuse(self, request: Request) -> Response:
        """Say why a request for a model came here, and not to its application.

        Raises:
            NotFoundError: There is no such model.
            UnavailableError: It isn't deployed, or has just been.
            UnsupportedError: Ray's proxies don't know where such a request belongs.
        """
        name = request.path_params["name"]
        found = [model for model in await self._models.look() if model.name == name]
        if not found:
            shown = ", ".join(self._models.names) or "none"
            raise NotFoundError(f"there is no model {name[:80]!r}; this cluster has {shown}")
        raise _reason(found[0], request.url.path)


def _reason(model: DeployedModel, path: str) -> UnavailableError | UnsupportedError:
    if not model.is_answering:
        because = f": {model.reason}" if model.reason else ""
        return UnavailableError(f"the model {model.name} is {model.state.value}{because}")
    if is_open_inference(path):
        return UnsupportedError(
            f"Ray's proxies don't send {MODELS_PATH}/{model.name} to its application: start Ray with "
            "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=clas.serving.ray_app:proxy_middlewares"
        )
    return UnavailableError(f"the model {model.name} has just been deployed: retry")
