import asyncio
import gc
import logging
import weakref
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from clas.errors import UnavailableError
from clas.serving.batching.batcher import Batcher
from clas.serving.launch import plan_in_process
from clas.serving.on_ray.replica import Front, Replica, _retire, build_front
from served import ENGINE, SIDE, best, encoded, exchange


class Stub:
    """Stands in for what only a cluster has."""

    def get_assigned_resources(self) -> dict[str, float]:
        return {"CPU": 1}

    def set(self, *_: object) -> None:
        """A gauge of Ray."""


GAUGE = CONTEXT = Stub()


class Model:
    """Stands in for a service; its model has been at one batch for `busy_s`."""

    def __init__(self, busy_s: float) -> None:
        self.options = plan_in_process({}, "user_config").options
        self.busy_s = busy_s

    def check_health(self) -> None:
        Batcher.check_pace(self, 5.0)  # type: ignore[arg-type]


async def _check_health(busy_s: float | None) -> None:
    replica = Replica()
    replica.app = Front()
    replica.app.service = None if busy_s is None else Model(busy_s)  # type: ignore[assignment]
    await replica.check_health()


@pytest.mark.parametrize("busy_s", [None, 0.0, 14.0])
def test_a_replica_is_well_while_it_loads_and_while_it_works(busy_s: float | None) -> None:
    asyncio.run(_check_health(busy_s))


def test_a_replica_whose_model_hangs_is_not_well() -> None:
    with pytest.raises(UnavailableError, match="at one batch for 16 s"):
        asyncio.run(_check_health(16.0))


@pytest.mark.usefixtures("logger_as_it_was")
def test_a_configuration_that_is_refused_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.get_runtime_context", lambda: CONTEXT)

    async def refuse() -> None:
        replica = Replica()
        replica.app = Front()
        before: Any = Model(0)
        replica.app.service = before
        await replica.reconfigure({"log_level": "error", "inference_model_dir": str(tmp_path / "nothing")})
        assert replica.app.service is before

    asyncio.run(refuse())
    assert logging.getLogger("clas_system").level == logging.INFO


def test_a_service_that_was_replaced_leaves_nothing_behind() -> None:
    class Service:
        def __init__(self) -> None:
            self.ring = self

        async def close(self) -> None:
            """Nothing to do."""

    async def replace() -> Any:
        old: Any = Service()
        left = weakref.ref(old)
        gc.freeze()
        task = asyncio.create_task(_retire(old))
        del old
        await task
        return left()

    try:
        assert asyncio.run(replace()) is None
    finally:
        gc.unfreeze()


@pytest.mark.usefixtures("logger_as_it_was")
def test_a_replica_answers_for_the_model_whose_name_it_has(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clas.serving.on_ray.metrics.Gauge", lambda *_: GAUGE)
    monkeypatch.setattr("ray.get_runtime_context", lambda: CONTEXT)
    sizes = {"crop_size": SIDE, "resize_short": SIDE, "class_id_map_file": "", "engine": ENGINE}
    body = msgspec.json.encode(encoded(1))
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def receive(_: object) -> Message:
        if not messages:
            await asyncio.Future()
        return messages.pop()

    async def answer() -> None:
        replica = Replica("flowers", {**sizes, "inference_model_dir": str(tiny_model)})
        front = build_front()
        assert isinstance(front, Front)
        replica.app = front
        with pytest.raises(UnavailableError):
            await replica.describe()
        await replica.reconfigure({"topk": 2})
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        path = "/predict/flowers"
        answered = await exchange(front, receive, headers, path, root_path=path)  # as Ray's proxy has it
        assert best(answered) == [1]
        described: Any = await replica.describe()
        assert [(one["name"], one["state"]) for one in described["models"]] == [("flowers", "ready")]
        assert b'clas_images_total{model="flowers"} 1.0' in await replica.exposition()
        assert [one["inference_count"] for one in await replica.statistics()] == [1]
        await replica.__del__()

    asyncio.run(answer())
