from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from clas.serving.http.model_control import ModelControl
from clas.serving.launch import Launch
from clas.serving.options import ServerOptions
from clas.serving.service import build_service
from model_folders import put_broken, put_model
from served import ADMIN_TOKEN, HeldRunner, Served, assert_refused, best, exchange, served, settings_of

INDEX = "/v2/repository/index"
LOAD = "/v2/repository/models/rose/load"
UNLOAD = "/v2/repository/models/rose/unload"
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.fixture
def service(flowers: Path, control: dict[str, Any]) -> Iterator[Served]:
    with served(repository=flowers, **control) as running:
        yield running


def refusal(response: Any, code: int) -> str:
    """The message of a failure, which is one of the Open Inference Protocol."""
    assert response.status_code == code, response.text
    body = response.json()
    assert list(body) == ["error"]
    message: str = body["error"]
    assert "Traceback" not in message
    assert "/tmp" not in message  # noqa: S108
    return message


def index(service: Served, **request: Any) -> list[dict[str, str]]:
    response = service.client.post(INDEX, headers=ADMIN, **request)
    assert response.status_code == 200, response.text
    entries: list[dict[str, str]] = response.json()
    return entries


def test_the_index_has_all_models_and_their_states(service: Served) -> None:
    lily, rose = service.models
    ready = {"state": "READY", "reason": ""}
    assert index(service) == [
        {"name": "lily", "version": lily.version, **ready},
        {"name": "rose", "version": rose.version, **ready},
    ]
    service.control("rose", "unload")
    gone = {"name": "rose", "version": "", "state": "UNAVAILABLE", "reason": "it is unloaded"}
    assert index(service)[1] == gone
    assert index(service, json={"ready": False})[1] == gone
    assert [entry["name"] for entry in index(service, json={"ready": True})] == ["lily"]


def test_a_broken_model_is_in_the_index_with_its_reason(flowers: Path, control: dict[str, Any]) -> None:
    put_broken(flowers / "rose")
    with served(repository=flowers, **control) as service:
        rose = index(service)[1]
        assert (rose["state"], rose["reason"]) == ("UNAVAILABLE", service.models["rose"].reason)
        assert rose["reason"]
        assert str(flowers) not in rose["reason"]


def test_a_model_that_is_loaded_when_it_is_asked_for_is_ready(flowers: Path, control: dict[str, Any]) -> None:
    with served(repository=flowers, max_loaded_models=1, **control) as service:
        assert [entry["state"] for entry in index(service)] == ["READY", "READY"]


def test_a_model_is_unloaded_and_loaded_again(service: Served) -> None:
    unloaded = service.control("rose", "unload")
    assert unloaded.json() == {
        "name": "rose",
        "version": "",
        "state": "UNAVAILABLE",
        "reason": "it is unloaded",
    }
    assert_refused(service.predict("rose", 0), 404, "the model rose is unloaded")
    assert refusal(service.client.get("/v2/models/rose/ready"), 404) == "the model rose is unloaded"
    assert service.client.get("/health/ready").status_code == 200
    assert best(service.predict("lily", 0)) == [2]
    loaded = service.control("rose", "load")
    assert loaded.status_code == 200
    entry = {"name": "rose", "version": service.models["rose"].version, "state": "READY", "reason": ""}
    assert loaded.json() == entry
    assert best(service.predict("rose", 0)) == [0]
    assert service.client.get("/v2/models/rose/ready").status_code == 200


def test_a_model_is_loaded_as_its_folder_is_now(
    service: Served, flowers: Path, exchanged_model: Path
) -> None:
    before = service.predict("rose", 0)
    put_model(flowers / "rose", exchanged_model)
    loaded = service.control("rose", "load")
    after = service.predict("rose", 0)
    assert [best(before), best(after)] == [[0], [2]]
    assert before.headers["X-Model-Version"] != after.headers["X-Model-Version"] == loaded.json()["version"]


def test_a_model_that_cannot_be_loaded_leaves_the_one_that_serves(service: Served, flowers: Path) -> None:
    version = service.models["rose"].version
    put_broken(flowers / "rose")
    message = refusal(service.control("rose", "load"), 409)
    assert message.startswith("the model rose can't be loaded: ")
    answer = service.predict("rose", 0)
    assert best(answer) == [0]
    assert answer.headers["X-Model-Version"] == version
    assert index(service)[1]["state"] == "READY"


def test_a_model_that_came_to_the_repository_is_loaded(
    service: Served, flowers: Path, tiny_model: Path
) -> None:
    put_model(flowers / "iris", tiny_model)
    assert service.control("iris", "load").status_code == 200
    assert best(service.predict("iris", 0)) == [0]
    assert [entry["name"] for entry in index(service)] == ["lily", "rose", "iris"]


@pytest.mark.parametrize("change", ["load", "unload"])
@pytest.mark.parametrize(
    "name", ["iris", ".hidden", "..", "%2e%2e", "out", "notes.txt", "a%20b", "r%C3%B6se", "x" * 300, "%00"]
)
def test_a_name_that_there_is_no_model_of_is_refused(
    service: Served, flowers: Path, tiny_model: Path, change: str, name: str
) -> None:
    put_model(flowers / ".hidden", tiny_model)
    put_model(flowers.parent / "elsewhere", tiny_model)
    (flowers / "out").symlink_to(flowers.parent / "elsewhere")
    (flowers / "notes.txt").write_text("")
    response = service.client.post(f"http://testserver/v2/repository/models/{name}/{change}", headers=ADMIN)
    assert len(refusal(response, 404)) < 200
    assert service.states() == {"lily": "ready", "rose": "ready"}


@pytest.mark.parametrize(
    "name", ["..%2Felsewhere", "..%2Fflowers%2Frose", "%2Fetc", "rose%2F..%2Frose", "..\\elsewhere", "./rose"]
)
def test_a_path_is_no_name(service: Served, flowers: Path, tiny_model: Path, name: str) -> None:
    put_model(flowers.parent / "elsewhere", tiny_model)
    for change in ("load", "unload"):
        path = f"/v2/repository/models/{name}/{change}"
        response = service.client.post(f"http://testserver{path}", headers=ADMIN, follow_redirects=False)
        if name == "./rose":  # clients leave that out
            assert response.status_code == 200
        else:
            refusal(response, 404)
    assert "elsewhere" not in service.models


@pytest.mark.parametrize("path", [INDEX, LOAD, UNLOAD, "/v2/repository/models/iris/load"])
@pytest.mark.parametrize("authorization", [None, "", "Bearer 0123456789abcdef", f"Basic {ADMIN_TOKEN}"])
def test_without_an_administrators_token_nothing_is_told_or_changed(
    service: Served, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = service.client.post(path, headers=headers)
    assert refusal(response, 401).startswith("a valid token is needed")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert service.states() == {"lily": "ready", "rose": "ready"}


def test_the_tokens_of_clients_are_not_those_of_administrators(
    flowers: Path, tmp_path: Path, control: dict[str, Any]
) -> None:
    (tmp_path / "tokens.txt").write_text("0123456789abcdef")
    with served(repository=flowers, token_file=str(tmp_path / "tokens.txt"), **control) as service:
        service.client.headers["Authorization"] = "Bearer 0123456789abcdef"
        assert best(service.predict("rose", 0)) == [0]
        refusal(service.client.post(UNLOAD), 401)
        assert service.control("rose", "unload").status_code == 200
        service.client.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"
        assert_refused(service.predict("lily", 0), 401, "a valid token is needed")


@pytest.mark.parametrize("path", [INDEX, LOAD, UNLOAD])
def test_unless_it_is_wanted_nobody_changes_models_by_the_network(flowers: Path, path: str) -> None:
    with served(repository=flowers) as service:
        message = refusal(service.client.post(path, headers=ADMIN), 404)
        assert message == f"there is nothing at {path}: model_control is off"
        assert service.states() == {"lily": "ready", "rose": "ready"}


async def _locally(service: Served, path: str) -> tuple[int, Any]:
    """What the server answers at its own socket."""

    async def receive(_: object) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    exchanged = await exchange(service.app, receive, path=path, server=("control.sock", None))
    return exchanged.status_code, exchanged.json()


def test_the_servers_own_user_changes_them_without_a_token(flowers: Path) -> None:
    with served(repository=flowers) as service:
        code, entry = service.call(_locally, service, UNLOAD)
        assert (code, entry["state"]) == (200, "UNAVAILABLE")
        assert service.states()["rose"] == "unloaded"


@pytest.mark.parametrize("body", [b"", b"{}", b' {"parameters": {}} ', b'{"parameters": null}'])
def test_a_load_needs_no_body(service: Served, body: bytes) -> None:
    assert service.control("rose", "load", content=body).status_code == 200


def test_the_body_that_tritons_client_sends_is_taken(service: Served) -> None:
    body = {"parameters": {"unload_dependents": False}}
    assert service.control("rose", "unload", json=body).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"parameters": {"config": "{}"}},
        {"parameters": {"file:1/model.onnx": "AAAA"}},
        {"parameters": {"unload_dependents": True}},
        {"parameters": [1]},
        {"parameters": "x"},
        {"model": "rose"},
    ],
)
@pytest.mark.parametrize("change", ["load", "unload"])
def test_what_would_change_how_a_model_is_loaded_is_refused(
    service: Served, change: str, body: dict[str, Any]
) -> None:
    message = refusal(service.control("rose", change, json=body), 400)
    assert message == "the body takes nothing: models are loaded as their folders are"
    assert service.states() == {"lily": "ready", "rose": "ready"}
    assert len(service.runners) == 2


@pytest.mark.parametrize("body", [{"ready": 1}, {"ready": None}, {"ready": "true"}, {"name": "rose"}])
def test_the_index_takes_nothing_but_whether_models_are_to_be_ready(
    service: Served, body: dict[str, Any]
) -> None:
    message = refusal(service.client.post(INDEX, headers=ADMIN, json=body), 400)
    assert message == 'the body takes nothing but "ready": true or false'


@pytest.mark.parametrize("path", [INDEX, LOAD, UNLOAD])
@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_refused(service: Served, path: str, body: bytes) -> None:
    response = service.client.post(path, headers=ADMIN, content=body)
    assert refusal(response, 400).startswith("the body isn't a JSON object: ")


@pytest.mark.parametrize("path", [INDEX, LOAD, UNLOAD])
def test_a_large_body_is_refused(service: Served, path: str) -> None:
    response = service.client.post(path, headers=ADMIN, content=b" " * 4097)
    assert refusal(response, 413) == "the body has more than 4096 bytes"
    assert service.client.post(path, headers=ADMIN, content=b"{}" + b" " * 4094).status_code == 200


@pytest.mark.parametrize("path", [INDEX, LOAD, UNLOAD])
def test_nothing_is_changed_by_a_get(service: Served, path: str) -> None:
    response = service.client.get(path, headers=ADMIN)
    assert refusal(response, 405).startswith(f"GET is not allowed for {path}")
    assert response.headers["Allow"] == "POST"


def test_where_something_else_changes_models_it_is_said_what(flowers: Path, control: dict[str, Any]) -> None:
    """As on Ray; to everybody, since nothing can be changed."""
    launch = Launch(options=ServerOptions(**control), models={"rose": settings_of(flowers / "rose")})
    service = build_service(launch, open_runner=HeldRunner, open_changes=lambda _: None)
    with TestClient(service.app) as client:
        for path in (INDEX, LOAD, UNLOAD):
            message = refusal(client.post(path), 501)
            assert message == "models are changed by the configuration here: use `serve deploy`"
    assert service.models.close(10)


def test_each_address_has_its_route(service: Served) -> None:
    routes = ModelControl(service.models, service.changes).routes()
    assert {(route.path, *sorted(route.methods or ())) for route in routes} == {
        (INDEX, "POST"),
        ("/v2/repository/models/{name}/load", "POST"),
        ("/v2/repository/models/{name}/unload", "POST"),
    }
