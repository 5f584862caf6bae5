import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from clas.errors import SettingsError
from clas.serving.metrics import Metrics
from clas.serving.models.served_model import State
from clas.serving.on_ray.deployed_models import Answer, DeployedModel, DeployedModels
from clas.serving.on_ray.overview import Overview, OverviewReplica
from clas.serving.on_ray.plan import plan_overview
from clas.serving.on_ray.replica import Front
from clas.serving.service import build_service
from served import assert_refused

DESCRIBED = {
    "name": "clas_system",
    "limits": {"max_request_bytes": 7},
    "model": {"classes": 6},
    "models": [{"name": "flowers", "state": "loading", "version": "abc", "model": {"classes": 6}}],
}
FLOWERS = DeployedModel("flowers", State.READY)
BROKEN = DeployedModel("broken", State.UNAVAILABLE, "it isn't deployed")
COMING = DeployedModel("coming", State.LOADING)


class Models(DeployedModels):
    """Those of a cluster that there isn't."""

    def __init__(self, *models: DeployedModel, **contents: Any) -> None:
        super().__init__([model.name for model in models])
        self.known = list(models)
        self.contents = contents

    async def look(self) -> list[DeployedModel]:
        return self.known

    async def ask(self, method: str) -> list[Answer]:
        return [
            Answer(model, self.contents.get(method) if model.state is State.READY else None)
            for model in self.known
        ]


@contextlib.contextmanager
def overview(models: DeployedModels, **options: Any) -> Iterator[TestClient]:
    metrics = Metrics()
    service = build_service(plan_overview(options)[1], metrics, open_changes=lambda _: None)
    service.app.routes[:0] = Overview(models, service, metrics).routes()
    with TestClient(service.app) as client:
        yield client
    assert service.models.close(1)


def test_the_models_are_told_of_as_by_one_server() -> None:
    with overview(Models(BROKEN, FLOWERS, describe=DESCRIBED)) as client:
        root = client.get("/").json()
    broken, flowers = root.pop("models")
    assert root == {**{name: DESCRIBED[name] for name in ("name", "limits", "model")}, "state": "ready"}
    assert flowers == {
        "name": "flowers",
        "state": "ready",
        "reason": "",
        "version": "abc",
        "predict": "/predict/flowers",
        "predictors": {"serving": 0, "wanted": 0},
        "model": {"classes": 6},
    }
    assert (broken["state"], broken["reason"]) == ("unavailable", "it isn't deployed")
    assert broken.keys() == flowers.keys()


@pytest.mark.parametrize(
    ("models", "state"), [((COMING, BROKEN), "loading"), ((BROKEN,), "ready"), ((), "ready")]
)
def test_something_is_told_where_no_model_is_there(models: tuple[DeployedModel, ...], state: str) -> None:
    with overview(Models(*models)) as client:
        root = client.get("/").json()
    assert (root["name"], root["state"], root["model"]) == ("clas_system", state, None)
    assert [model["name"] for model in root["models"]] == [model.name for model in models]
    assert root["limits"]["timeout_s"] == 30


def test_it_is_ready_as_soon_as_a_model_answers() -> None:
    with overview(Models(BROKEN, COMING, DeployedModel("idle", State.IDLE))) as client:
        assert client.get("/health/ready").json() == {"status": "ready"}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/health/live").json() == {"status": "live"}
    with overview(Models(BROKEN, COMING)) as client:
        message = "no model answers: broken is unavailable, coming is loading"
        assert_refused(client.get("/health/ready"), 503, message)
        assert client.get("/v2/health/ready").json() == {"error": message}
    with overview(Models()) as client:
        assert_refused(client.get("/health/ready"), 503, "no model answers: there is none")


def test_metrics_and_statistics_are_those_of_all() -> None:
    metrics = Metrics()
    metrics.of_model("flowers").images.inc(3)
    stats = [{"name": "flowers", "inference_count": 3}]
    models = Models(FLOWERS, BROKEN, exposition=metrics.exposition(), statistics=stats)
    with overview(models) as client:
        client.get("/")
        families = {one.name: one for one in text_string_to_metric_families(client.get("/metrics").text)}
        assert [sample.value for sample in families["clas_images"].samples if "total" in sample.name] == [3]
        paths = [sample.labels["path"] for sample in families["clas_requests"].samples]
        assert "/" in paths  # its own, too
        assert client.get("/v2/models/stats").json() == {"model_stats": stats}


def test_pages_and_the_protocol_are_there_as_everywhere() -> None:
    with overview(Models(FLOWERS, BROKEN)) as client:
        assert "text/html" in client.get("/ui").headers["Content-Type"]
        assert "text/html" in client.get("/docs").headers["Content-Type"]
        assert client.get("/v2").json()["name"] == "clas_system"
        parameters = client.get("/openapi.json").json()["paths"]["/predict/{name}"]["parameters"]
        assert parameters[0]["schema"]["enum"] == ["flowers", "broken"]
        assert_refused(client.get("/nothing"), 404, "there is nothing at /nothing")
        assert_refused(client.get("/predict/flowers"), 405, "GET is not allowed")


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("trees", 404, "there is no model 'trees'; this cluster has flowers, broken, coming"),
        ("broken", 503, "the model broken is unavailable: it isn't deployed"),
        ("coming", 503, "the model coming is loading"),
    ],
)
def test_a_request_that_no_application_takes_is_told_why(name: str, code: int, message: str) -> None:
    with overview(Models(FLOWERS, BROKEN, COMING)) as client:
        assert_refused(client.post(f"/predict/{name}", content=b"x" * 10**6), code, message)
        for answer in (
            client.get(f"/v2/models/{name}"),
            client.get(f"/v2/models/{name}/ready"),
            client.post(f"/v2/models/{name}/infer", json={}),
        ):
            assert (answer.status_code, answer.json()) == (code, {"error": message})


def test_proxies_without_the_middleware_are_noticed() -> None:
    with overview(Models(FLOWERS)) as client:
        answer = client.post("/v2/models/flowers/infer", json={})
        assert answer.status_code == 501
        assert "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=" in answer.json()["error"]
        assert_refused(
            client.post("/predict/flowers"), 503, "the model flowers has just been deployed: retry"
        )


@pytest.mark.parametrize("with_tokens", [False, True])
def test_models_are_changed_by_serve_deploy_which_everybody_is_told(
    tmp_path: Path, with_tokens: bool
) -> None:
    file = tmp_path / "tokens"
    file.write_text("0123456789abcdef\n")
    options = {"token_file": str(file)} if with_tokens else {}
    with overview(Models(FLOWERS), **options) as client:
        for path in ("index", "models/flowers/load", "models/trees/unload"):
            answer = client.post(f"/v2/repository/{path}", content=b"not JSON")
            assert answer.status_code == 501
            assert "`serve deploy`" in answer.json()["error"]
        assert client.get("/").status_code == (401 if with_tokens else 200)


@pytest.mark.usefixtures("logger_as_it_was")
def test_a_new_list_of_models_takes_over_and_an_invalid_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "clas.serving.on_ray.overview.DeployedModels", lambda names: Models(*map(_ready, names))
    )
    monkeypatch.setattr("clas.serving.on_ray.metrics.Mirror.start", lambda _: None)

    def names(replica: OverviewReplica) -> list[str]:
        assert replica.app.service
        client = TestClient(replica.app)
        return [model["name"] for model in client.get("/").json()["models"]]

    async def change() -> None:
        replica = OverviewReplica()
        replica.app = Front()
        with pytest.raises(SettingsError):
            await replica.reconfigure({"models": "flowers"})
        for user_config in ({"models": ["flowers"]}, {"models": ["flowers", "birds"]}, {"models": "birds"}):
            await replica.reconfigure(user_config)
        assert await asyncio.to_thread(names, replica) == ["flowers", "birds"]
        await replica.check_health()
        await replica.__del__()

    asyncio.run(change())


def _ready(name: str) -> DeployedModel:
    return DeployedModel(name, State.READY)
