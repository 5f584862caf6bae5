"""The standalone server's application in this process, around a real model that a test can hold or fail."""

import base64
import contextlib
import dataclasses
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive

from clas.engine.base import Batch, EngineClass, Scores
from clas.model.files import ModelFiles
from clas.protocol import PREDICT_PATH
from clas.serving.batching.pool import Pool
from clas.serving.batching.runner import InProcessRunner
from clas.serving.http.decoders import Decoders
from clas.serving.launch import Launch
from clas.serving.options import ServerOptions
from clas.serving.service import build_service
from clas.settings import Settings, load_settings
from gates import Gate, wait_until
from tiny_models import HAS_PADDLE

SIDE = 32
ENGINE = "paddle" if HAS_PADDLE else "openvino"


class HeldRunner(InProcessRunner):
    """A real model in this process; records the sizes of its batches."""

    def __init__(self, engine_class: EngineClass, files: ModelFiles, settings: Settings) -> None:
        super().__init__(engine_class(files, settings))
        self.gate = Gate()
        self.sizes: list[int] = []
        self.fault: Exception | None = None

    def run(self, *parts: Batch) -> Scores:
        self.sizes.append(sum(map(len, parts)))
        self.gate.enter()
        if self.fault:
            raise self.fault
        return super().run(*parts)


def settings_of(model: Path, **overrides: object) -> Settings:
    sizes = {"crop_size": SIDE, "resize_short": SIDE, "class_id_map_file": "", "cpu_num_threads": 1}
    return load_settings({"inference_model_dir": str(model), "engine": ENGINE, **sizes, **overrides})


@dataclasses.dataclass
class Served:
    """A running application."""

    app: Starlette
    client: TestClient
    pool: Pool
    decoders: Decoders
    runners: list[HeldRunner]

    @property
    def runner(self) -> HeldRunner:
        """The one that is in use."""
        return self.runners[-1]

    def post(self, **request: Any) -> Any:
        return self.client.post(PREDICT_PATH, **request)

    def queued_images(self) -> float:
        return float(
            re.findall(r"^clas_queue_images (.+)$", self.client.get("/metrics").text, re.MULTILINE)[0]
        )


@contextlib.contextmanager
def served(
    model: Path,
    *,
    settings: dict[str, object] | None = None,
    before_load: Callable[[], None] = lambda: None,
    wait: bool = True,
    **options: Any,
) -> Iterator[Served]:
    """Run the application on `model` during a block; `before_load` is called before each load."""
    runners: list[HeldRunner] = []

    def open_runner(engine_class: EngineClass, files: ModelFiles, settings: Settings) -> HeldRunner:
        before_load()
        runners.append(HeldRunner(engine_class, files, settings))
        return runners[-1]

    launch = Launch(options=ServerOptions(**options), settings=settings_of(model, **(settings or {})))
    app, pool, _, decoders = build_service(launch, open_runner=open_runner)
    try:
        with TestClient(app) as client:
            if wait:
                wait_until(lambda: not pool.is_loading)
            yield Served(app, client, pool, decoders, runners)
    finally:
        for runner in runners:
            runner.gate.open()
        assert pool.close(10)


def image_file(channel: int, side: int = SIDE, ending: str = ".png") -> bytes:
    """The file of an image of one colour: 0 red, 1 green, 2 blue."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 2 - channel] = 255
    return cv2.imencode(ending, image)[1].tobytes()


def encoded(*channels: int) -> dict[str, Any]:
    """The encoded-image form of a request with such images."""
    return {"images": [base64.b64encode(image_file(channel)).decode() for channel in channels]}


def best(response: Any) -> list[int]:
    """The best class of each image in an answer."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert list(body) == ["status", "msg", "results"]
    assert (body["status"], body["msg"]) == ("000", "")
    assert body["results"]["elapse"] >= 0
    return [entry["class_ids"][0] for entry in body["results"]["prediction"]]


def assert_refused(response: Any, code: int, message: str) -> None:
    """Check a failure against all that is promised of it; its message begins with `message`."""
    assert response.status_code == code, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert re.fullmatch(r"[\w.:-]{1,64}", response.headers["X-Request-ID"])
    assert response.headers.get("Retry-After") == ("1" if code == 503 else None)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if code == 401 else None)
    body = response.json()
    assert list(body) == ["status", "msg", "results"]
    assert (body["status"], body["results"]) == ("101", "")
    assert body["msg"].startswith(message), body["msg"]
    assert not re.search(r"\n|Traceback|File \"|\.py\b|/tmp|/work|/root|/home|site-packages", body["msg"])


@dataclasses.dataclass
class Exchanged:
    """What an application sent; looks like a client's response."""

    messages: list[Message] = dataclasses.field(default_factory=list)

    @property
    def has_started(self) -> bool:
        return bool(self.messages)

    @property
    def status_code(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> MutableMapping[str, str]:
        pairs = self.messages[0]["headers"]
        return {name.decode().title().replace("-Id", "-ID"): value.decode() for name, value in pairs}

    @property
    def text(self) -> str:
        return b"".join(message["body"] for message in self.messages[1:]).decode()

    def json(self) -> Any:
        return msgspec.json.decode(self.text)


async def exchange(
    app: ASGIApp,
    receive: Callable[[Exchanged], Awaitable[Message]],
    headers: dict[str, str] | None = None,
    path: str = PREDICT_PATH,
    **more: object,
) -> Exchanged:
    """Call an application without any client, for what clients can't do.

    Args:
        app: The application.
        receive: Makes the messages of the request; is told what was sent so far.
        headers: Those of the request.
        path: Where it goes.
        **more: Further keys of the scope.
    """
    exchanged = Exchanged()

    async def send(message: Message) -> None:
        exchanged.messages.append(message)

    def give() -> Awaitable[Message]:
        return receive(exchanged)

    as_receive: Receive = give
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **more,
    }
    await app(scope, as_receive, send)
    return exchanged
