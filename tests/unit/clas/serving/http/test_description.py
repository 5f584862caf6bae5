from pathlib import Path
from typing import Any

from clas.protocol import MODULE_NAME
from clas.serving.http.description import describe_service
from clas.serving.options import ServerOptions
from gates import Gate, wait_until
from model_folders import put_broken
from served import Served, served


def described(service: Served) -> Any:
    front: Any = service.client.get("/").json()
    assert front == describe_service(service.models, ServerOptions(), 1, "")
    return front


def of_models(front: Any, *names: str) -> list[tuple[Any, ...]]:
    """These fields of each model."""
    return [tuple(model[name] for name in names) for model in front["models"]]


def test_all_models_are_described_and_the_first_one_as_if_it_were_the_only_one(flowers: Path) -> None:
    with served(repository=flowers) as service:
        front = described(service)
        versions = [model.version for model in service.models]
    assert of_models(front, "name", "state", "reason", "predict") == [
        ("lily", "ready", "", "/predict/lily"),
        ("rose", "ready", "", "/predict/rose"),
    ]
    assert of_models(front, "version") == [(version,) for version in versions]
    assert of_models(front, "predictors") == [({"serving": 1, "wanted": 1},)] * 2
    assert [model["model"]["name"] for model in front["models"]] == ["lily", "rose"]
    first = front["models"][0]
    assert [front[name] for name in ("model", "predict", "predictors")] == [
        first[name] for name in ("model", "predict", "predictors")
    ]
    assert (front["name"], front["state"], front["workers"]) == (MODULE_NAME, "ready", 1)


def test_the_first_one_is_one_that_is_loaded_if_there_is_any(flowers: Path) -> None:
    put_broken(flowers / "lily")
    with served(repository=flowers) as service:
        front = described(service)
        assert (front["predict"], front["model"]["name"]) == ("/predict/rose", "rose")
        assert of_models(front, "name", "state", "model") == [
            ("lily", "unavailable", None),
            ("rose", "ready", front["model"]),
        ]
        service.call(service.models.unload, "rose")
        front = described(service)
        assert (front["predict"], front["model"]) == ("/predict/lily", None)


def test_behind_a_proxy_the_addresses_are_those_of_the_client(flowers: Path) -> None:
    with served(repository=flowers) as service:
        front: Any = describe_service(service.models, ServerOptions(), 1, "/flowers")
    assert of_models(front, "predict") == [("/flowers/predict/lily",), ("/flowers/predict/rose",)]
    assert front["predict"] == "/flowers/predict/lily"


def test_a_server_without_models_says_so(tmp_path: Path) -> None:
    with served(repository=tmp_path) as service:
        front = described(service)
    assert (front["state"], front["models"]) == ("ready", [])
    assert (front["model"], front["predict"], front["predictors"]) == (None, None, None)
    assert front["limits"]["timeout_s"] == 30


def test_no_path_of_the_machine_is_told(flowers: Path) -> None:
    put_broken(flowers / "lily")
    (flowers / "rose" / "inference.yml").write_text("{")
    with served(repository=flowers) as service:
        text = service.client.get("/").text
        reasons = of_models(described(service), "reason")
    assert str(flowers.parent) not in text
    assert "inference.yml is not valid YAML" in reasons[1][0]


def test_while_models_are_loaded_the_server_is_loading_and_each_model_says_what_it_does(
    flowers: Path,
) -> None:
    gate = Gate()
    with gate.closed(), served(repository=flowers, before_load=gate.enter, wait=False) as service:
        gate.wait_for_arrival()
        front = described(service)
        assert (front["state"], front["model"]) == ("loading", None)
        assert of_models(front, "name", "state", "version")[1] == ("rose", "loading", "")
        assert of_models(front, "predictors") == [({"serving": 0, "wanted": 1},)] * 2
        gate.open()
        wait_until(lambda: service.client.get("/").json()["state"] == "ready")


def test_a_model_that_is_not_in_memory_has_a_state_and_an_address_only(flowers: Path) -> None:
    with served(repository=flowers, max_loaded_models=1) as service:
        assert of_models(described(service), "name", "state", "version", "predict", "model")[1] == (
            *("rose", "idle", "", "/predict/rose"),
            None,
        )
        service.call(service.models.unload, "rose")
        assert of_models(described(service), "name", "state", "reason")[1] == (
            *("rose", "unloaded"),
            "it is unloaded",
        )
