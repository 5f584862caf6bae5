from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from clas.protocol import PREDICT_PATH
from clas.serving.http.fast_path import FastPath
from served import best, encoded, served


class Predict:
    """Stands in for the prediction endpoint."""

    async def respond(self, request: Request) -> Response:
        return PlainTextResponse(b"predicted: " + await request.body())


async def router(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("routed")(scope, receive, send)


@pytest.fixture
def client() -> TestClient:
    predict: Any = Predict()
    return TestClient(FastPath(router, predict))


def test_predictions_are_answered_without_the_router(client: TestClient) -> None:
    assert client.post(PREDICT_PATH, content=b"x").text == "predicted: x"
    assert client.post(f"{PREDICT_PATH}?top_k=2", content=b"x").text == "predicted: x"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", PREDICT_PATH), ("PUT", PREDICT_PATH), ("POST", "/"), ("POST", f"{PREDICT_PATH}/"), ("GET", "/")],
)
def test_everything_else_is_routed(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).text == "routed"


def test_lifespan_events_are_passed_on() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    predict: Any = Predict()
    with TestClient(FastPath(app, predict)):
        assert seen == ["lifespan"]


def test_the_router_answers_predictions_in_the_same_way(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the middleware is left out, nothing but speed is missing."""

    async def as_if_absent(self: FastPath, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    with served(tiny_model) as service:
        monkeypatch.setattr(FastPath, "__call__", as_if_absent)
        assert best(service.post(json=encoded(2, 0))) == [2, 0]
        assert service.post(json={}).status_code == 400
