import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clas.errors import NotFoundError, UnavailableError
from clas.serving.batching.pool import Pool
from clas.serving.metrics import Metrics
from clas.serving.models.plan import ModelPlan
from clas.serving.models.served_model import ServedModel, State
from gates import Gate, wait_until
from model_folders import put_broken, put_model
from served import assert_refused, best, served, served_model, settings_of


@pytest.fixture
def model(tmp_path: Path) -> ServedModel:
    """A model that isn't in memory."""
    return served_model("rose", ModelPlan(settings_of(tmp_path)), Metrics())


@pytest.fixture
def closed() -> list[Pool]:
    """The pools that were closed, in this order."""
    return []


def pool_of(model: ServedModel) -> Pool:
    """Predictors that nobody loads."""

    def fail(*_: object) -> Any:
        raise AssertionError("it was loaded")

    return Pool(model.plan.settings, 0, lambda _: None, fail)


def test_a_model_that_is_not_in_memory_is_ready_since_a_request_loads_it(model: ServedModel) -> None:
    assert (model.state, model.reason, model.version, model.pools()) == (State.IDLE, "", "", [])
    assert (model.facts.name, model.facts.is_ready, model.facts.engine) == ("rose", True, None)
    model.check_ready()
    with pytest.raises(UnavailableError, match="the model rose isn't in memory"), model.lease():
        pytest.fail("it was leased")


def test_a_model_that_is_loaded_is_not_ready_yet(model: ServedModel) -> None:
    model.pool = pool_of(model)
    assert (model.state, model.reason, model.version) == (State.LOADING, "", "")
    assert not model.facts.is_ready
    with pytest.raises(UnavailableError, match="the model is being loaded"):
        model.check_ready()


def test_an_unloaded_model_is_as_one_that_there_is_none_of(model: ServedModel, closed: list[Pool]) -> None:
    model.pool = pool_of(model)
    model.is_wanted = False
    model.replace(None, closed.append)
    assert len(closed) == 1
    assert (model.state, model.reason) == (State.UNLOADED, "it is unloaded")
    assert not model.facts.is_ready
    with pytest.raises(NotFoundError, match="the model rose is unloaded"):
        model.check_ready()
    with pytest.raises(NotFoundError, match="the model rose is unloaded"), model.lease():
        pytest.fail("it was leased")


def test_what_is_replaced_while_it_answers_nothing_is_closed_at_once(
    model: ServedModel, closed: list[Pool]
) -> None:
    before, after = pool_of(model), pool_of(model)
    model.replace(before, closed.append)
    assert closed == []
    with model.lease():
        pass
    model.replace(after, closed.append)
    assert closed == [before]
    assert model.pools() == [after]


def test_a_lease_keeps_what_is_replaced_until_it_ends(model: ServedModel, closed: list[Pool]) -> None:
    before, after = pool_of(model), pool_of(model)
    model.pool = before
    with model.lease() as first:
        with model.lease() as second:
            assert first is second is before
            model.replace(after, closed.append)
            with model.lease() as third:
                assert third is after
                assert model.pools() == [after, before]
        assert closed == []
        assert not model.is_idle
    assert closed == [before]
    assert model.pools() == [after]
    assert model.is_idle


def test_each_of_several_replacements_is_closed_when_its_own_requests_are_answered(
    model: ServedModel, closed: list[Pool]
) -> None:
    first, second, third = (pool_of(model) for _ in range(3))
    model.pool = first
    with model.lease():
        model.replace(second, closed.append)
        with model.lease():
            model.replace(third, closed.append)
            assert model.pools() == [third, first, second]
        assert closed == [second]
    assert closed == [second, first]


def test_a_request_that_fails_ends_its_lease(model: ServedModel, closed: list[Pool]) -> None:
    model.pool = pool_of(model)

    def fail() -> None:
        with model.lease():
            model.replace(None, closed.append)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(closed) == 1
    assert model.is_idle


def test_it_knows_when_it_was_used_last(model: ServedModel) -> None:
    assert model.used_at == 0
    model.pool = pool_of(model)
    with model.lease():
        first = model.used_at
    with model.lease():
        assert 0 < first <= model.used_at


def test_a_loaded_model_has_its_version_and_its_engine(tiny_model: Path) -> None:
    with served(models={"rose": tiny_model}) as service:
        [model] = service.models
        model.check_ready()
        assert (model.state, model.reason) == (State.READY, "")
        assert len(model.version) == 12
        int(model.version, 16)
        facts = model.facts
        assert facts.is_ready
        assert facts.engine
        assert facts.engine.num_outputs == 6


def test_the_same_files_are_the_same_version_wherever_they_are(flowers: Path, tiny_model: Path) -> None:
    put_model(flowers / "iris", tiny_model)
    with served(repository=flowers) as service:
        iris, lily, rose = (model.version for model in service.models)
    assert iris == rose != lily


def test_while_a_model_is_loaded_again_it_is_not_ready(tiny_model: Path) -> None:
    gate = Gate()
    with served(models={"rose": tiny_model}, before_load=gate.enter) as service, gate.closed():
        [model] = service.models
        service.runner.is_alive = False
        gate.wait_for_arrival()
        wait_until(lambda: model.state is State.LOADING)
        with pytest.raises(UnavailableError, match="the model is being loaded again"):
            model.check_ready()


def test_why_a_model_cannot_be_loaded_is_told_without_the_folders_place(flowers: Path) -> None:
    put_broken(flowers / "rose")
    with served(repository=flowers) as service:
        model = service.models["rose"]
        assert model.state is State.UNAVAILABLE
        assert str(flowers) not in model.reason
        assert "/" not in model.reason
        assert len(model.reason) > 10
        with pytest.raises(UnavailableError) as caught:
            model.check_ready()
        assert str(caught.value) == f"the model rose is unavailable: {model.reason}"
        assert_refused(service.predict("rose", 0), 503, str(caught.value))


def test_a_request_is_answered_by_the_model_that_was_there_when_it_came(
    flowers: Path, exchanged_model: Path, threads: ThreadPoolExecutor
) -> None:
    with served(repository=flowers) as service:
        runner = service.runner_of("rose")
        before = service.models["rose"].version
        with runner.gate.closed():
            waiting = threads.submit(service.predict, "rose", 0)
            runner.gate.wait_for_arrival()
            put_model(flowers / "rose", exchanged_model)
            service.call(service.changes.load, "rose")
            after = service.predict("rose", 0)
            assert best(after) == [2]
            assert after.headers["X-Model-Version"] == service.models["rose"].version != before
            assert runner.is_alive
        answer = waiting.result(10)
        assert best(answer) == [0]
        assert answer.headers["X-Model-Version"] == before
        wait_until(lambda: not runner.is_alive)


def test_the_predictors_of_an_unloaded_model_are_freed_whatever_is_still_known_of_it(flowers: Path) -> None:
    """Without the help of the garbage collector, which doesn't look at what was there at the start."""
    with served(repository=flowers) as service:
        assert best(service.predict("rose", 0)) == [0]
        runner = service.runner_of("rose")
        left: list[weakref.ref[Any]] = [weakref.ref(runner), weakref.ref(runner._engine)]
        service.runners.remove(runner)
        del runner
        gc.freeze()
        try:
            service.call(service.changes.unload, "rose")
            wait_until(lambda: not any(reference() for reference in left))
        finally:
            gc.unfreeze()
