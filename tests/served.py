"""The standalone server's application in this process, around a real model that a test can hold or fail."""

import base64
import contextlib
import dataclasses
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import cv2
import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive

from clas.engine.base import Batch, EngineClass, Scores
from clas.model.files import ModelFiles
from clas.protocol import MODULE_NAME, PREDICT_PATH, PREDICTIONS_PATH, REPOSITORY_PATH
from clas.serving.batching.admission import Admission, Room
from clas.serving.batching.pool import Pool
from clas.serving.batching.runner import InProcessRunner
from clas.serving.http.decoders import Decoders
from clas.serving.launch import Launch
from clas.serving.metrics import Metrics
from clas.serving.models.changes import Changes
from clas.serving.models.loader import Loader
from clas.serving.models.plan import ModelPlan
from clas.serving.models.registry import Models
from clas.serving.models.repository import Repository
from clas.serving.models.served_model import ServedModel, State
from clas.serving.options import ServerOptions
from clas.serving.service import build_service
from clas.settings import Settings, load_settings
from gates import Gate, wait_until
from tiny_models import HAS_PADDLE

SIDE = 32
ADMIN_TOKEN = "fedcba9876543210"  # noqa: S105  # of no server but those of the tests
ENGINE = "paddle" if HAS_PADDLE else "openvino"


class HeldRunner(InProcessRunner):
    """A real model in this process; records the sizes of its batches."""

    def __init__(self, engine_class: EngineClass, files: ModelFiles, settings: Settings) -> None:
        super().__init__(engine_class(files, settings))
        self.gate = Gate()
        self.sizes: list[int] = []
        self.fault: Exception | None = None
        self.folder = settings.inference_model_dir

    def run(self, *parts: Batch) -> Scores:
        self.sizes.append(sum(map(len, parts)))
        self.gate.enter()
        if self.fault:
            raise self.fault
        return super().run(*parts)


SETTINGS: dict[str, object] = {
    "engine": ENGINE,
    "crop_size": SIDE,
    "resize_short": SIDE,
    "class_id_map_file": "",
    "cpu_num_threads": 1,
}
"""Those of all models here."""


def settings_of(model: Path, **overrides: object) -> Settings:
    return load_settings({"inference_model_dir": str(model), **SETTINGS, **overrides})


def served_model(name: str, plan: ModelPlan, metrics: Metrics, max_images: int = 512) -> ServedModel:
    """A model that isn't loaded, and has no bounds that matter."""
    of_model = metrics.of_model(name)
    admission = Admission(max_images, Room(2**30), 2**30, of_model.queue_images.set)
    return ServedModel(name, plan, of_model, admission)


def unloaded(metrics: Metrics, *names: str) -> Models:
    """Models of these names, for what never loads one."""

    def fail(*_: object) -> NoReturn:
        raise AssertionError("a model was loaded")

    plan = ModelPlan(load_settings({}))
    return Models(
        dict.fromkeys(names, plan),
        lambda name, plan: served_model(name, plan, metrics),
        fail,
        Loader(fail, 0),
    )


@dataclasses.dataclass
class Served:
    """A running application."""

    app: Starlette
    client: TestClient
    models: Models
    decoders: Decoders
    changes: Changes
    runners: list[HeldRunner]

    @property
    def pool(self) -> Pool:
        """The predictors of the only model."""
        pool = self.models[MODULE_NAME].pool
        assert pool
        return pool

    @property
    def runner(self) -> HeldRunner:
        """The one that is in use."""
        return self.runners[-1]

    def runner_of(self, name: str) -> HeldRunner:
        """The last one of a model."""
        folder = self.models[name].plan.settings.inference_model_dir
        return [runner for runner in self.runners if runner.folder == folder][-1]

    def call(self, function: Callable[..., Any], *args: object) -> Any:
        """Call a function in the application's event loop; returns what it, or its coroutine, returns."""

        async def call() -> Any:
            result = function(*args)
            return await result if inspect.isawaitable(result) else result

        assert self.client.portal
        return self.client.portal.call(call)

    def control(self, name: str, change: str, **request: Any) -> Any:
        """Ask to load or unload a model, as an administrator."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        return self.client.post(f"{REPOSITORY_PATH}/models/{name}/{change}", headers=headers, **request)

    def states(self) -> dict[str, str]:
        """Name of each model -> its state."""
        return {model.name: model.state.value for model in self.models}

    def post(self, **request: Any) -> Any:
        return self.client.post(PREDICT_PATH, **request)

    def predict(self, name: str, *channels: int) -> Any:
        """Ask a model for images of these colours."""
        return self.client.post(f"{PREDICTIONS_PATH}/{name}", json=encoded(*channels))

    @property
    def num_in_memory(self) -> int:
        """How many models there are in memory, those included that still answer or are being freed."""
        return sum(runner.is_alive for runner in self.runners)

    def queued_images(self) -> float:
        return float(
            re.findall(r"^clas_queue_images{.*} (.+)$", self.client.get("/metrics").text, re.MULTILINE)[0]
        )


@contextlib.contextmanager
def served(
    model: Path | None = None,
    *,
    models: Mapping[str, Path] | None = None,
    repository: Path | None = None,
    settings: dict[str, object] | None = None,
    before_load: Callable[[], None] = lambda: None,
    wait: bool = True,
    **options: Any,
) -> Iterator[Served]:
    """Run the application during a block.

    Args:
        model: The folder of the default model; None if it isn't served.
        models: Name -> folder of further ones.
        repository: Where there are more.
        settings: Those of all models.
        before_load: Called before each load.
        wait: Until the models of the start are loaded.
        **options: The server's.
    """
    runners: list[HeldRunner] = []

    def open_runner(engine_class: EngineClass, files: ModelFiles, settings: Settings) -> HeldRunner:
        before_load()
        runners.append(HeldRunner(engine_class, files, settings))
        return runners[-1]

    folders = {**({MODULE_NAME: model} if model else {}), **(models or {})}
    if repository:
        options["model_repository"] = str(repository)
        folders = {**Repository(repository).folders(), **folders}
    launch = Launch(
        options=ServerOptions(**options),
        models={name: settings_of(folder, **(settings or {})) for name, folder in folders.items()},
        overrides={**SETTINGS, **(settings or {})},
    )
    service = build_service(launch, open_runner=open_runner)
    try:
        with TestClient(service.app) as client:
            if wait:
                wait_until(lambda: State.LOADING not in [model.state for model in service.models])
            assert service.changes
            yield Served(service.app, client, service.models, service.decoders, service.changes, runners)
    finally:
        for runner in runners:
            runner.gate.open()
        assert service.models.close(10)


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
