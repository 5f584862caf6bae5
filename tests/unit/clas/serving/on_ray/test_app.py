import asyncio
import gc
import logging
import weakref
from pathlib import Path
from typing import Any

import pytest

from clas.engine.devices import available_cores
from clas.errors import SettingsError, UnavailableError
from clas.serving.batching.batcher import Batcher
from clas.serving.launch import plan_in_process
from clas.serving.on_ray import app as ray_app
from clas.serving.on_ray.app import Front, Replica


class Context:
    """Of a Ray process that has these cores."""

    def __init__(self, cores: float) -> None:
        self._cores = cores

    def get_assigned_resources(self) -> dict[str, float]:
        return {"CPU": self._cores} if self._cores else {}


@pytest.fixture
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    given: float = request.param
    monkeypatch.setattr("ray.get_runtime_context", lambda: Context(given))
    monkeypatch.setattr(ray_app, "available_cores", lambda: 8)
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: 64 * 2**30)
    return given


@pytest.mark.parametrize(
    ("cores", "threads", "predictors"),
    [(0.5, 1, (0,)), (1, 1, (0,)), (2, 2, (2, 1, 1)), (8, 8, (8, 2, 2, 2, 2)), (0, 8, (8, 2, 2, 2, 2))],
    indirect=["cores"],
)
def test_a_replica_uses_the_cores_that_ray_has_set_aside(
    cores: float, threads: int, predictors: tuple[int, ...]
) -> None:
    launch = ray_app._plan({})
    assert (launch.settings.cpu_num_threads, launch.predictor_threads) == (threads, predictors), cores


@pytest.mark.parametrize(
    ("cores", "predictors"),
    [(8, (8, 2, 2, 2, 2)), (4, (1, 1, 1, 1)), (2, (1, 1)), (1, (0,))],
    indirect=["cores"],
)
def test_a_replicas_predictors_take_no_more_memory_than_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: float, predictors: tuple[int, ...]
) -> None:
    """8 GiB have room for 8 of them, in half of it; the other cores may have replicas, too."""
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: 8 * 2**30)
    assert ray_app._plan({}).predictor_threads == predictors, cores


def test_names_of_settings_and_of_options_are_taken() -> None:
    launch = plan_in_process({"topk": 3, "timeout_s": 5.0, "inference_model_dir": "/model"}, "user_config")
    assert (launch.settings.topk, launch.options.timeout_s) == (3, 5.0)
    assert launch.settings.inference_model_dir == "/model"
    assert launch.num_workers == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"top_k": 3}, "user_config has an unknown name 'top_k'; did you mean 'topk'"),
        ({"port": 80}, "user_config has an unknown name 'port'"),
        ({"use_multiprocess": True}, "unknown name 'use_multiprocess'"),
        ({"topk": "three"}, "topk is 'three'"),
        ({"use_gpu": 1}, "use_gpu is 1; it takes true or false"),
    ],
)
def test_what_doesnt_fit_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan_in_process(values, "user_config")


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


def test_cores_are_those_of_the_process_where_ray_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get_runtime_context", lambda: Context(1000))
    assert ray_app._plan({}).settings.cpu_num_threads == available_cores()


@pytest.mark.usefixtures("cores", "logger_as_it_was")
@pytest.mark.parametrize("cores", [1], indirect=True)
def test_a_configuration_that_is_refused_leaves_the_log_as_it_was(tmp_path: Path) -> None:
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
        task = asyncio.create_task(ray_app._retire(old))
        del old
        await task
        return left()

    try:
        assert asyncio.run(replace()) is None
    finally:
        gc.unfreeze()
