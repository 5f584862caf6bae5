import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from clas.serving.on_ray import detour
from clas.serving.on_ray.detour import DetourMiddleware, undo_detour

ROUTES = {"/": "overview", "/predict/flowers": "flowers"}


class Proxy:
    """Stands in for Ray's proxy: tells its routes, and notes where requests go."""

    def __init__(self, routes: Response | None = None) -> None:
        self.routes = routes or JSONResponse(ROUTES)
        self.paths: list[str] = []
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/-/routes":
            self.asked += 1
            await self.routes(scope, receive, send)
        else:
            self.paths.append(scope["path"])


async def _nothing(_: Message) -> None:
    """Nobody listens."""


async def _receive() -> Message:
    return {"type": "http.request"}


def sent(proxy: Proxy, *paths: str) -> list[str]:
    """Where the proxy gets requests for these paths."""

    async def send() -> None:
        middleware = DetourMiddleware(proxy)
        for path in paths:
            await middleware({"type": "http", "path": path, "method": "GET"}, _receive, _nothing)

    asyncio.run(send())
    return proxy.paths


@pytest.mark.parametrize("rest", ["", "/infer", "/config", "/what/ever"])
def test_what_is_asked_of_a_model_goes_to_its_application(rest: str) -> None:
    path = f"/v2/models/flowers{rest}"
    assert sent(Proxy(), path) == [f"/predict/flowers{path}"]


def test_all_models_may_be_below_a_path() -> None:
    proxy = Proxy(JSONResponse({"/a/predict/flowers": "flowers", "/predict/birds": "birds"}))
    paths = ["/a/v2/models/flowers/infer", "/a/v2/models/birds/infer", "/v2/models/flowers/infer"]
    assert sent(proxy, *paths) == [f"/a/predict/flowers{paths[0]}", *paths[1:]]


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/metrics", "/predict/flowers", "/predict/flowers/", "/v2", "/v2/models", "/v2/models/"),
        *("/v2/models/stats", "/v2/models/birds/infer", "/v2/models/flowers2", "/v2/repository/index"),
        *("/other/v2/models/flowers", "/-/healthz"),
    ],
)
def test_all_else_stays_as_it_is(path: str) -> None:
    assert sent(Proxy(), path) == [path]


@pytest.mark.parametrize("routes", [PlainTextResponse("not yet", 503), JSONResponse(["/predict/flowers"])])
def test_nothing_is_sent_elsewhere_before_the_proxy_knows_its_routes(routes: Response) -> None:
    assert sent(Proxy(routes), "/v2/models/flowers") == ["/v2/models/flowers"]


def test_the_routes_are_asked_for_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(detour, "time", SimpleNamespace(monotonic=lambda: now))
    proxy = Proxy()
    middleware = DetourMiddleware(proxy)

    async def send() -> None:
        await middleware({"type": "http", "path": "/v2/models/birds"}, _receive, _nothing)

    for _ in range(3):
        asyncio.run(send())
    assert proxy.asked == 1
    now += 1.1
    proxy.routes = JSONResponse({**ROUTES, "/predict/birds": "birds"})
    asyncio.run(send())
    assert (proxy.asked, proxy.paths[-1]) == (2, "/predict/birds/v2/models/birds")


def test_other_traffic_than_http_is_passed_on() -> None:
    seen: list[Any] = []

    async def proxy(scope: Scope, *_: object) -> None:
        seen.append(scope)

    scope = {"type": "websocket", "path": "/v2/models/flowers"}
    asyncio.run(DetourMiddleware(proxy)(scope, _receive, _nothing))
    assert seen == [scope]


@pytest.mark.parametrize(
    ("root_path", "path", "restored"),
    [
        ("/predict/flowers", "/predict/flowers/v2/models/flowers/infer", "/v2/models/flowers/infer"),
        ("/predict/flowers", "/predict/flowers", "/predict/flowers"),
        ("/predict/flowers", "/predict/flowers/", "/predict/flowers/"),
        ("/predict/flowers", "/predict/flowers/metrics", "/predict/flowers/metrics"),
        ("/predict/flowers", "/predict/flowers/v2/repository/index", "/predict/flowers/v2/repository/index"),
        ("/a/predict/flowers", "/a/predict/flowers", "/a/predict/flowers"),
        ("/a/predict/flowers", "/a/predict/flowers/a/v2/models/flowers/infer", "/a/v2/models/flowers/infer"),
    ],
)
def test_a_replica_sees_the_path_that_was_asked_for(root_path: str, path: str, restored: str) -> None:
    scope = undo_detour({"type": "http", "root_path": root_path, "path": path, "headers": []})
    assert scope == {"type": "http", "root_path": "", "path": restored, "headers": []}


@pytest.mark.parametrize(
    "scope", [{"path": "/v2/models/a"}, {"root_path": "", "path": "/"}, {"root_path": "/a", "path": "/a/v2"}]
)
def test_a_single_models_requests_are_left_alone(scope: dict[str, str]) -> None:
    assert undo_detour(scope) is scope
