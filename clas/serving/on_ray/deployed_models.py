"""The models of a cluster, each in an application of its own, as the overview asks for them."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, DeploymentStatusOverview, ServeStatus

from ...protocol import PREDICTIONS_PATH
from ..models.served_model import State

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

_STATUS_S: Final = 1.0
_ANSWER_S: Final = 2.0
_SERVING: Final = frozenset(("RUNNING", "UPDATING", "PENDING_MIGRATION"))
_COMING: Final = frozenset(("STARTING", "RECOVERING"))
"""Of a replica that serves, and of one that will; Ray's own names."""
_FAILED: Final = frozenset(("DEPLOY_FAILED", "UNHEALTHY"))
"""Of a deployment."""


class DeployedModel(NamedTuple):
    """A model, and what Ray says of its deployment.

    Attributes:
        name: The model's.
        state: What becomes of a request.
        reason: Why it is refused; empty if it isn't.
    """

    name: str
    state: State
    reason: str = ""

    @property
    def is_answering(self) -> bool:
        """Whether requests are answered, if need be once a replica has been started for them."""
        return self.state in (State.READY, State.IDLE)

    def describe(self, prefix: str) -> dict[str, object]:
        """Return what is known without asking a replica; an entry of `models` in `GET /`.

        Args:
            prefix: What precedes all paths where the client is.
        """
        return {
            "name": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "version": "",
            "predict": f"{prefix}{PREDICTIONS_PATH}/{self.name}",
            "predictors": {"serving": 0, "wanted": 0},
            "model": None,
        }


class Answer(NamedTuple):
    """What a replica of a model has answered.

    Attributes:
        model: The model.
        content: The answer; None if there is no replica, or none that has ever answered in time.
    """

    model: DeployedModel
    content: Any


class DeployedModels:
    """Asks Ray how the models are, and a replica of each for what it knows.

    Args:
        names: The names of the models, which their applications and deployments bear, too.

    Attributes:
        names: As given.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._models = [DeployedModel(name, State.LOADING) for name in names]
        self._until = 0.0
        self._turn = asyncio.Lock()
        self._handles: dict[str, DeploymentHandle[Any]] = {}
        self._last: dict[tuple[str, str], Any] = {}

    async def look(self) -> list[DeployedModel]:
        """Return the models as they were a second ago, or less."""
        async with self._turn:
            if time.monotonic() >= self._until:
                self._until = time.monotonic() + _STATUS_S
                status = await asyncio.to_thread(_status)
                if status is not None:
                    self._models = [model_in(status, name) for name in self.names]
        return self._models

    async def ask(self, method: str) -> list[Answer]:
        """Call a method of one replica of each model.

        Args:
            method: Its name; see `Replica`.
        """
        return await asyncio.gather(*(self._ask(model, method) for model in await self.look()))

    async def _ask(self, model: DeployedModel, method: str) -> Answer:
        key = model.name, method
        if model.state is State.READY:  # any other one has no replica
            try:
                self._last[key] = await self._call(model.name, method)
            except (RayError, RayServeException, asyncio.TimeoutError, KeyError):
                return Answer(model, self._last.get(key))  # it is busy, or has just gone
            return Answer(model, self._last[key])
        return Answer(model, None)

    async def _call(self, name: str, method: str) -> object:
        if name not in self._handles:  # in a thread, since it asks Ray's controller
            self._handles[name] = await asyncio.to_thread(serve.get_deployment_handle, name, name)
        response: Any = self._handles[name].options(method_name=method).remote()
        try:
            return await asyncio.wait_for(_content_of(response), _ANSWER_S)
        except asyncio.TimeoutError:
            response.cancel()
            raise


def model_in(status: ServeStatus, name: str) -> DeployedModel:
    """Return a model as Ray's status shows it."""
    application = status.applications.get(name)
    if application is None:
        return DeployedModel(name, State.UNAVAILABLE, "it isn't deployed")
    if deployment := application.deployments.get(name):
        return _model_of(deployment, name)
    if application.status is ApplicationStatus.DEPLOY_FAILED:
        return DeployedModel(name, State.UNAVAILABLE, "its application is invalid: see `serve status`")
    return DeployedModel(name, State.LOADING)


def _model_of(deployment: DeploymentStatusOverview, name: str) -> DeployedModel:
    replicas: set[str] = {*deployment.replica_states}
    if replicas & _SERVING:
        return DeployedModel(name, State.READY)
    if deployment.status == "HEALTHY":  # it has been scaled to zero
        return DeployedModel(name, State.IDLE)
    if deployment.status in _FAILED and not replicas & _COMING:
        return DeployedModel(name, State.UNAVAILABLE, "its replicas can't be started: see `serve status`")
    return DeployedModel(name, State.LOADING)


def _status() -> ServeStatus | None:
    """Ask Ray's controller; None if it isn't there, since it is being started anew."""
    try:
        return serve.status()
    except (RayError, RayServeException):
        return None


async def _content_of(response: Awaitable[object]) -> object:
    return await response
