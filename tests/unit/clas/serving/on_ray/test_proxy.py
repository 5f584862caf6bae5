from collections.abc import Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from clas.protocol import PREDICT_PATH
from clas.serving.on_ray.proxy import EnvelopeMiddleware


def answer_to(response: Response | None, path: str = PREDICT_PATH) -> httpx.Response:
    """What a client gets when Ray's proxy answers so; None stands for no answer at all."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if response is not None:
            await response(scope, receive, send)

    came: httpx.Response = TestClient(EnvelopeMiddleware(proxy)).post(path, content=b"x")
    return came


@pytest.mark.parametrize("status", [408, 429, 503])
def test_no_room_is_said_in_the_envelope_and_is_worth_another_try(status: int) -> None:
    came = answer_to(PlainTextResponse("Request dropped:\n queue full", status))
    assert came.status_code == 503
    assert came.headers["Retry-After"] == "1"
    assert came.json()["results"] == ""
    assert "Request dropped: queue full" in came.json()["msg"]


def test_no_room_is_said_in_the_form_of_the_other_protocol() -> None:
    came = answer_to(PlainTextResponse("queue full", 503), "/v2/models/clas_system/infer")
    assert (came.status_code, list(came.json())) == (503, ["error"])


def test_a_path_where_nothing_is_gets_404_in_the_envelope() -> None:
    came = answer_to(PlainTextResponse("Path '/x' not found", 404), "/x")
    assert came.status_code == 404
    assert PREDICT_PATH in came.json()["msg"]


def test_a_replica_that_died_before_its_answer_is_worth_another_try() -> None:
    came = answer_to(None)
    assert came.status_code == 503
    assert ": retry" in came.json()["msg"]


@pytest.mark.parametrize("make", [JSONResponse, PlainTextResponse])
def test_what_a_replica_says_is_passed_on(make: Callable[..., Response]) -> None:
    status = 503 if make is JSONResponse else 200
    came = answer_to(make("as it is", status))
    assert (came.status_code, came.text.strip('"')) == (status, "as it is")


def test_the_proxys_own_paths_are_left_alone() -> None:
    came = answer_to(PlainTextResponse("draining", 503), "/-/healthz")
    assert came.text == "draining"


def test_a_broken_off_answer_stays_broken_off() -> None:
    """Another answer can't begin in its middle."""

    async def proxy(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        TestClient(EnvelopeMiddleware(proxy)).get("/")


def test_the_start_and_end_of_the_proxy_pass_through() -> None:
    begun = []

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["type"])
        await Starlette()(scope, receive, send)

    with TestClient(EnvelopeMiddleware(proxy)):
        assert begun == ["lifespan"]
