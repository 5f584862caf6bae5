import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError
from ray.serve.schema import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatusOverview,
    ServeStatus,
)

from clas.serving.models.served_model import State
from clas.serving.on_ray import deployed_models
from clas.serving.on_ray.deployed_models import DeployedModels, model_in


def status_of(*, application: str = "RUNNING", deployment: str = "", **replicas: int) -> ServeStatus:
    """What Ray says of the model flowers; its application has no deployment without a status of that."""
    found: Any = {}
    if deployment:
        arguments: dict[str, Any] = {"status": deployment, "status_trigger": "", "message": "Traceback"}
        found["flowers"] = DeploymentStatusOverview(replica_states=replicas, **arguments)  # type: ignore[arg-type]
    overview = ApplicationStatusOverview(ApplicationStatus(application), "", 0, found)
    return ServeStatus(applications={"flowers": overview})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (status_of(deployment="HEALTHY", RUNNING=2), State.READY),
        (status_of(deployment="UPDATING", RUNNING=1, STARTING=1), State.READY),
        (status_of(deployment="UPDATING", UPDATING=1), State.READY),
        (status_of(deployment="UNHEALTHY", RUNNING=1), State.READY),
        (status_of(deployment="UPDATING", STARTING=1), State.LOADING),
        (status_of(deployment="UPSCALING", STARTING=1), State.LOADING),
        (status_of(deployment="UNHEALTHY", STARTING=1), State.LOADING),
        (status_of(application="DEPLOYING"), State.LOADING),
        (status_of(deployment="HEALTHY"), State.IDLE),
        (status_of(deployment="HEALTHY", STOPPING=1), State.IDLE),
        (status_of(deployment="DEPLOY_FAILED", STOPPING=1), State.UNAVAILABLE),
        (status_of(deployment="UNHEALTHY"), State.UNAVAILABLE),
        (status_of(application="DEPLOY_FAILED"), State.UNAVAILABLE),
        (ServeStatus(), State.UNAVAILABLE),
    ],
)
def test_a_models_state_is_that_of_its_deployment(status: ServeStatus, state: State) -> None:
    model = model_in(status, "flowers")
    assert model.state is state
    assert model.is_answering == (state in (State.READY, State.IDLE))
    assert bool(model.reason) == (state is State.UNAVAILABLE)
    assert "Traceback" not in model.reason


class Cluster:
    """Stands in for Ray: its status, and what a replica answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.status: ServeStatus | None = status_of(deployment="HEALTHY", RUNNING=1)
        self.content: Any = "first"
        self.looks = 0
        self.now = 100.0
        self.calls: list[tuple[str, str, str]] = []
        monkeypatch.setattr(deployed_models, "_status", self._look)
        monkeypatch.setattr(deployed_models, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr("ray.serve.get_deployment_handle", self._handle)
        self.models = DeployedModels(["flowers"])

    def _look(self) -> ServeStatus | None:
        self.looks += 1
        return self.status

    def _handle(self, deployment: str, application: str) -> "Handle":
        return Handle(self, deployment, application)

    def ask(self) -> Any:
        [answer] = asyncio.run(self.models.ask("describe"))
        return answer.content


class Handle:
    """Of a deployment."""

    def __init__(self, cluster: Cluster, *names: str) -> None:
        self.cluster = cluster
        self.names = names
        self.method_name = ""

    def options(self, *, method_name: str) -> "Handle":
        self.method_name = method_name
        return self

    def remote(self) -> "Handle":
        deployment, application = self.names
        self.cluster.calls.append((deployment, application, self.method_name))
        return self

    def cancel(self) -> None:
        self.cluster.calls.append(("cancelled", "", ""))

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self.cluster.content, Exception):
            raise self.cluster.content
        if self.cluster.content is None:
            yield from asyncio.sleep(3600).__await__()
        return self.cluster.content


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_a_replica_of_the_models_own_application_is_asked(cluster: Cluster) -> None:
    assert cluster.ask() == "first"
    assert cluster.calls == [("flowers", "flowers", "describe")]


@pytest.mark.parametrize("failure", [BackPressureError(1, 1), RayActorError(), KeyError("flowers"), None])
def test_a_replica_that_doesnt_answer_is_given_its_last_answer(
    cluster: Cluster, failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed_models, "_ANSWER_S", 0.05)
    cluster.content = failure
    assert cluster.ask() is None
    cluster.content = "first"
    assert cluster.ask() == "first"
    cluster.content = failure
    assert cluster.ask() == "first"
    assert cluster.calls.count(("cancelled", "", "")) == (2 if failure is None else 0)


@pytest.mark.parametrize("deployment", ["HEALTHY", "DEPLOY_FAILED"])
def test_a_model_without_a_replica_is_not_asked(cluster: Cluster, deployment: str) -> None:
    """One that was scaled to zero would be started for that."""
    cluster.status = status_of(deployment=deployment)
    assert cluster.ask() is None
    assert not cluster.calls


def test_rays_status_is_asked_for_once_a_second_at_most(cluster: Cluster) -> None:
    for _ in range(3):
        assert asyncio.run(cluster.models.look())[0].state is State.READY
    assert cluster.looks == 1
    cluster.now += 1.1
    cluster.status = status_of(deployment="DEPLOY_FAILED")
    assert asyncio.run(cluster.models.look())[0].state is State.UNAVAILABLE


def test_while_ray_says_nothing_the_last_status_holds(cluster: Cluster) -> None:
    known, cluster.status = cluster.status, None
    assert asyncio.run(cluster.models.look())[0].state is State.LOADING
    for cluster.status in (known, None):
        cluster.now += 1.1
        assert asyncio.run(cluster.models.look())[0].state is State.READY
