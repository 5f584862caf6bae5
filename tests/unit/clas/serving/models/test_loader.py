import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from clas.serving.batching.pool import Pool
from clas.serving.metrics import Metrics
from clas.serving.models.loader import Loader
from clas.serving.models.plan import ModelPlan
from clas.serving.models.served_model import ServedModel
from gates import Gate, wait_until
from model_folders import put_broken
from served import HeldRunner, served_model, settings_of


class Parts:
    """A loader with its models and what it has loaded."""

    def __init__(self, flowers: Path, max_loaded: int) -> None:
        metrics = Metrics()
        self.models = [
            served_model(path.name, ModelPlan(settings_of(path)), metrics)
            for path in sorted(flowers.iterdir())
        ]
        self.gate = Gate()
        self.begun: list[str] = []
        self.loader = Loader(self._open_pool, max_loaded)

    def _open_pool(self, _: ServedModel, plan: ModelPlan) -> Pool:
        return Pool(plan.settings, 0, lambda _: None, self._open_runner)

    def _open_runner(self, *args: object) -> HeldRunner:
        self.begun.append(Path(args[2].inference_model_dir).name)  # type: ignore[attr-defined]
        self.gate.enter()
        return HeldRunner(*args)  # type: ignore[arg-type]

    async def load(self, model: ServedModel) -> Pool:
        """Load a model, and let it answer."""
        pool = await self.loader.load(model, model.plan, self.models)
        model.replace(pool, self.loader.free)
        return pool

    def close(self) -> bool:
        self.gate.open()
        return self.loader.close([pool for model in self.models for pool in model.pools()], 10)


@pytest.fixture
def flower_parts(flowers: Path, request: pytest.FixtureRequest) -> Iterator[Parts]:
    """Those of lily and rose, with as many in memory as the test says."""
    parts = Parts(flowers, getattr(request, "param", 0))
    yield parts
    assert parts.close()


@pytest.mark.parametrize(
    ("flower_parts", "names"), [(0, ["lily", "rose"]), (1, ["lily"])], indirect=["flower_parts"]
)
def test_at_the_start_it_loads_what_may_be_in_memory(flower_parts: Parts, names: list[str]) -> None:
    flower_parts.loader.start(flower_parts.models)
    in_memory = [model for model in flower_parts.models if model.pool]
    assert [model.name for model in in_memory] == names
    wait_until(lambda: all(model.pool and not model.pool.is_loading for model in in_memory))
    assert flower_parts.begun == names


def test_it_loads_one_model_at_a_time(flower_parts: Parts) -> None:
    with flower_parts.gate.closed():
        flower_parts.loader.start(flower_parts.models)
        flower_parts.gate.wait_for_arrival()
        assert flower_parts.begun == ["lily"]
    wait_until(lambda: flower_parts.begun == ["lily", "rose"])


def test_whoever_wants_one_waits_for_its_turn(flower_parts: Parts) -> None:
    lily, rose = flower_parts.models

    async def load_both() -> list[Pool]:
        with flower_parts.gate.closed():
            loads = [asyncio.create_task(flower_parts.load(model)) for model in (rose, lily)]
            await asyncio.to_thread(flower_parts.gate.wait_for_arrival)
            assert flower_parts.begun == ["rose"]
        return [await load for load in loads]

    pools = asyncio.run(load_both())
    assert flower_parts.begun == ["rose", "lily"]
    assert [pool.has_failed for pool in pools] == [False, False]
    assert pools == [rose.pool, lily.pool]


def test_what_cannot_be_loaded_is_told_and_keeps_nobody_waiting(flowers: Path, flower_parts: Parts) -> None:
    lily, rose = flower_parts.models
    put_broken(flowers / "rose")

    async def load_both() -> list[Pool]:
        return list(await asyncio.gather(flower_parts.load(rose), flower_parts.load(lily)))

    assert [pool.has_failed for pool in asyncio.run(load_both())] == [True, False]


@pytest.mark.parametrize("flower_parts", [1], indirect=True)
def test_there_is_room_when_what_was_freed_has_ended(flower_parts: Parts) -> None:
    """Not when it begins to: both would be in memory then."""
    lily, rose = flower_parts.models

    async def take_turns() -> None:
        first = await flower_parts.load(lily)
        second = await flower_parts.load(rose)
        assert lily.pool is None
        assert first.close(0)
        assert not second.is_loading

    asyncio.run(take_turns())


@pytest.mark.parametrize("flower_parts", [1], indirect=True)
def test_a_model_that_is_loaded_again_needs_no_room(flower_parts: Parts) -> None:
    lily, _ = flower_parts.models

    async def load_twice() -> list[Pool]:
        return [await flower_parts.load(lily) for _ in range(2)]

    first, second = asyncio.run(load_twice())
    assert lily.pool is second
    assert first.close(10)


def test_predictors_that_are_freed_before_they_are_loaded_keep_nobody_waiting(flower_parts: Parts) -> None:
    lily, rose = flower_parts.models

    async def free_and_load() -> Pool:
        with flower_parts.gate.closed():
            flower_parts.loader.start(flower_parts.models)
            await asyncio.to_thread(flower_parts.gate.wait_for_arrival)
            for model in (lily, rose):  # the one that is loaded now, and the one after it
                model.replace(None, flower_parts.loader.free)
        return await asyncio.wait_for(flower_parts.load(rose), 10)

    try:
        assert not asyncio.run(free_and_load()).is_loading
    finally:
        flower_parts.close()


def test_at_the_end_nothing_more_is_loaded(flower_parts: Parts) -> None:
    with flower_parts.gate.closed():
        flower_parts.loader.start(flower_parts.models)
        flower_parts.gate.wait_for_arrival()
        pools = [model.pool for model in flower_parts.models if model.pool]
        assert not flower_parts.loader.close(pools, 0.05)
        assert flower_parts.loader.is_closing
    assert flower_parts.close()
    flower_parts.loader.start(flower_parts.models)
    assert flower_parts.begun == ["lily"]
