import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clas.errors import ModelControlError, NotFoundError
from clas.serving.metrics import Metrics
from clas.serving.models import registry
from gates import Gate, wait_until
from model_folders import put_broken, put_model
from served import Served, assert_refused, best, served, unloaded


def answer(future: "Future[Any]") -> list[int]:
    return best(future.result(20))


@contextlib.contextmanager
def given_up_in_time(service: Served) -> Iterator[None]:
    """End the server if a block takes for ever, so that it fails instead."""
    timer = threading.Timer(20, service.models.close, [10])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# What there is


def test_models_are_found_by_name_and_in_the_order_in_which_they_are_served() -> None:
    models = unloaded(Metrics(), "rose", "lily")
    assert [model.name for model in models] == ["rose", "lily"]
    assert len(models) == 2
    assert "rose" in models
    assert "iris" not in models
    assert models["lily"].name == "lily"
    assert models.first is models["rose"]
    assert unloaded(Metrics()).first is None


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ((), "none"),
        (("rose", "lily"), "rose, lily"),
        (tuple("abcdefghijklm"), "a, b, c, d, e, f, g, h, i, j and 3 more"),
    ],
)
def test_a_name_that_there_is_none_of_is_refused_with_those_that_there_are(
    names: tuple[str, ...], shown: str
) -> None:
    with pytest.raises(NotFoundError) as caught:
        unloaded(Metrics(), *names)["iris"]
    assert str(caught.value) == f"there is no model 'iris'; this server has {shown}"
    with pytest.raises(NotFoundError) as caught:
        unloaded(Metrics(), *names)["x" * 5000]
    assert len(str(caught.value)) < 200


# The start


def test_two_models_answer_under_their_names(flowers: Path) -> None:
    with served(repository=flowers) as service:
        assert service.states() == {"lily": "ready", "rose": "ready"}
        assert best(service.predict("rose", 0, 1, 2)) == [0, 1, 2]
        assert best(service.predict("lily", 0, 1, 2)) == [2, 1, 0]
        assert service.client.get("/health/ready").status_code == 200


def test_a_server_of_an_empty_repository_is_ready(tmp_path: Path) -> None:
    with served(repository=tmp_path) as service:
        assert service.client.get("/health/ready").status_code == 200
        assert not service.models.has_failed
        refused = service.predict("rose", 0)
        assert_refused(refused, 404, "there is no model 'rose'; this server has none")


def test_models_are_loaded_one_after_the_other_and_each_answers_as_soon_as_it_can(flowers: Path) -> None:
    gate = Gate()
    with served(repository=flowers) as service:
        first = service.runner_of("lily").folder
    folders: list[str] = []
    with gate.closed(), served(repository=flowers, before_load=gate.enter, wait=False) as service:
        gate.wait_for_arrival()
        assert service.states() == {"lily": "loading", "rose": "loading"}
        assert service.models.is_loading
        assert_refused(service.client.get("/health/ready"), 503, "the model is being loaded")
        assert_refused(service.predict("lily", 0), 503, "the model is being loaded")
        gate.open()
        wait_until(lambda: not service.models.is_loading)
        folders = [runner.folder for runner in service.runners]
        assert service.client.get("/health/ready").status_code == 200
    assert folders[0] == first


def test_one_broken_model_does_not_keep_the_others_from_serving(flowers: Path) -> None:
    put_broken(flowers / "iris")
    with served(repository=flowers) as service:
        assert service.states() == {"iris": "unavailable", "lily": "ready", "rose": "ready"}
        assert not service.models.has_failed
        assert service.client.get("/health/ready").status_code == 200
        assert service.client.get("/v2/health/ready").status_code == 200
        assert best(service.predict("rose", 0)) == [0]
        assert_refused(service.predict("iris", 0), 503, "the model iris is unavailable: ")


def test_where_no_model_can_be_loaded_the_server_has_failed(flowers: Path) -> None:
    for name in ("rose", "lily"):
        put_broken(flowers / name)
    with served(repository=flowers) as service:
        wait_until(lambda: service.states() == {"lily": "unavailable", "rose": "unavailable"})
        assert service.models.has_failed
        assert_refused(service.client.get("/health/ready"), 503, "no model can be loaded")


def test_once_it_has_served_a_server_does_not_fail_with_its_models(flowers: Path) -> None:
    with served(repository=flowers) as service:
        assert not service.models.has_failed
        for name in ("rose", "lily"):
            service.call(service.models.unload, name)
        assert not service.models.has_failed
        assert service.client.get("/health/ready").status_code == 200


def test_of_several_models_one_that_is_loaded_again_leaves_the_server_ready(flowers: Path) -> None:
    gate = Gate()
    with served(repository=flowers, before_load=gate.enter) as service:
        with gate.closed():
            service.runner_of("rose").is_alive = False
            gate.wait_for_arrival()
            wait_until(lambda: service.states()["rose"] == "loading")
            assert not service.models.is_loading
            assert service.client.get("/health/ready").status_code == 200
            assert best(service.predict("lily", 0)) == [2]
        wait_until(lambda: service.states()["rose"] == "ready")


def test_while_all_are_loaded_again_it_is_not_ready(flowers: Path) -> None:
    gate = Gate()
    with served(repository=flowers, before_load=gate.enter) as service, gate.closed():
        for name in ("rose", "lily"):
            service.runner_of(name).is_alive = False
        wait_until(lambda: set(service.states().values()) == {"loading"})
        assert service.models.is_loading
        assert_refused(service.client.get("/health/ready"), 503, "the model is being loaded again")


def test_starting_again_loads_nothing_twice(flowers: Path) -> None:
    with served(repository=flowers) as service:
        service.call(service.models.start)
        service.call(service.models.unload, "rose")
        service.call(service.models.start)
        assert len(service.runners) == 2
        assert service.states() == {"lily": "ready", "rose": "unloaded"}


# Changes


def test_a_model_that_was_changed_answers_from_its_next_load_on(flowers: Path, exchanged_model: Path) -> None:
    with served(repository=flowers) as service:
        put_model(flowers / "rose", exchanged_model)
        before = service.predict("rose", 0)
        assert best(before) == [0]
        replacement = service.call(service.models.prepare, "rose")
        still = service.predict("rose", 0)
        assert best(still) == [0]
        assert still.headers["X-Model-Version"] == before.headers["X-Model-Version"]
        service.call(service.models.commit, replacement)
        after = service.predict("rose", 0)
        assert best(after) == [2]
        assert after.headers["X-Model-Version"] == replacement.pool.version
        assert after.headers["X-Model-Version"] != before.headers["X-Model-Version"]
        wait_until(lambda: service.num_in_memory == 2)


def test_what_was_prepared_may_be_discarded(flowers: Path, exchanged_model: Path) -> None:
    with served(repository=flowers) as service:
        put_model(flowers / "rose", exchanged_model)
        replacement = service.call(service.models.prepare, "rose")
        assert service.num_in_memory == 3
        service.call(service.models.discard, replacement)
        assert service.num_in_memory == 2
        assert best(service.predict("rose", 0)) == [0]


def test_a_load_that_fails_leaves_what_serves(flowers: Path) -> None:
    with served(repository=flowers) as service:
        before = service.models["rose"].version
        put_broken(flowers / "rose")
        with pytest.raises(ModelControlError, match=r"^the model rose can't be loaded: ") as caught:
            service.call(service.models.prepare, "rose")
        assert str(flowers) not in str(caught.value)
        answered = service.predict("rose", 0)
        assert best(answered) == [0]
        assert answered.headers["X-Model-Version"] == before
        assert service.states()["rose"] == "ready"


def test_a_model_that_came_to_the_repository_is_served_once_it_is_loaded(
    flowers: Path, tiny_model: Path
) -> None:
    with served(repository=flowers) as service:
        put_model(flowers / "iris", tiny_model)
        assert_refused(service.predict("iris", 0), 404, "there is no model 'iris'; this server has")
        service.call(service.models.commit, service.call(service.models.prepare, "iris"))
        assert best(service.predict("iris", 0)) == [0]
        assert list(service.states()) == ["lily", "rose", "iris"]


def test_one_that_came_and_is_broken_is_not_served(flowers: Path) -> None:
    put_broken(flowers / "rose")
    with served(repository=flowers) as service:
        put_broken(flowers / "iris")
        for name in ("iris", "rose"):
            with pytest.raises(ModelControlError):
                service.call(service.models.prepare, name)
        assert service.states() == {"lily": "ready", "rose": "unavailable"}


def test_a_broken_model_serves_when_it_was_mended_and_loaded(flowers: Path, tiny_model: Path) -> None:
    put_broken(flowers / "rose")
    with served(repository=flowers) as service:
        assert service.states()["rose"] == "unavailable"
        put_model(flowers / "rose", tiny_model)
        assert_refused(service.predict("rose", 0), 503, "the model rose is unavailable")
        service.call(service.changes.load, "rose")
        assert best(service.predict("rose", 0)) == [0]


def test_a_folder_that_has_gone_cannot_be_loaded(flowers: Path) -> None:
    with served(repository=flowers) as service:
        (flowers / "rose").rename(flowers.parent / "rose")
        with pytest.raises((NotFoundError, ModelControlError)):
            service.call(service.models.prepare, "rose")
        assert best(service.predict("rose", 0)) == [0]


@pytest.mark.parametrize("name", ["iris", "", "..", "../flowers/rose", ".hidden"])
def test_what_is_in_no_repository_cannot_be_loaded(tiny_model: Path, flowers: Path, name: str) -> None:
    with (
        served(models={"rose": tiny_model}) as service,
        pytest.raises(NotFoundError, match=r"there is no model '.*'"),
    ):
        service.call(service.models.prepare, name)
    with (
        served(repository=flowers) as service,
        pytest.raises(NotFoundError, match=r"there is no model '.*' in the repository"),
    ):
        service.call(service.models.prepare, name)


def test_a_configured_model_is_loaded_from_its_own_folder_whatever_the_repository_has(
    flowers: Path, tiny_model: Path, tmp_path: Path, exchanged_model: Path
) -> None:
    own = put_model(tmp_path / "own", exchanged_model)
    with served(models={"rose": own}, repository=flowers) as service:
        assert best(service.predict("rose", 0)) == [2]
        put_model(own, tiny_model)
        put_model(flowers / "rose", exchanged_model)
        service.call(service.changes.load, "rose")
        assert best(service.predict("rose", 0)) == [0]


def test_an_unloaded_model_is_refused_until_it_is_loaded_again(flowers: Path) -> None:
    with served(repository=flowers) as service:
        service.call(service.models.unload, "rose")
        assert_refused(service.predict("rose", 0), 404, "the model rose is unloaded")
        wait_until(lambda: service.num_in_memory == 1)
        assert best(service.predict("lily", 0)) == [2]
        service.call(service.models.unload, "rose")  # once more changes nothing
        service.call(service.changes.load, "rose")
        assert best(service.predict("rose", 0)) == [0]
        with pytest.raises(NotFoundError, match="there is no model 'iris'"):
            service.call(service.models.unload, "iris")


def test_one_more_model_may_be_known_before_it_is_loaded(flowers: Path, tiny_model: Path) -> None:
    with served(repository=flowers) as service:
        put_model(flowers / "iris", tiny_model)
        service.call(service.models.add, "iris")
        service.call(service.models.add, "rose")
        assert service.states() == {"lily": "ready", "rose": "ready", "iris": "idle"}
        assert best(service.predict("iris", 0)) == [0]
        with pytest.raises(NotFoundError):
            service.call(service.models.add, "none")


def test_a_model_that_is_unloaded_while_the_start_loads_it_can_be_loaded_again(flowers: Path) -> None:
    gate = Gate()
    with gate.closed(), served(repository=flowers, before_load=gate.enter, wait=False) as service:
        gate.wait_for_arrival()
        for name in ("lily", "rose"):  # the one that is loaded now, and the one that waits for that
            service.call(service.models.unload, name)
        gate.open()
        with given_up_in_time(service):
            for name, expected in (("lily", 2), ("rose", 0)):
                service.call(service.changes.load, name)
                assert best(service.predict(name, 0)) == [expected]


def test_a_model_that_is_unloaded_while_a_request_has_it_loaded_leaves_the_memory(
    flowers: Path, threads: ThreadPoolExecutor
) -> None:
    gate = Gate()
    with served(repository=flowers, max_loaded_models=1, before_load=gate.enter) as service:
        with gate.closed():
            waiting = threads.submit(service.predict, "rose", 0)
            gate.wait_for_arrival()
            service.call(service.models.unload, "rose")
        assert_refused(waiting.result(20), 404, "the model rose is unloaded")
        assert service.models["rose"].pool is None
        wait_until(lambda: service.num_in_memory == 0)


# No more in memory than max_loaded_models


def of_one(flowers: Path, **more: Any) -> Any:
    return served(repository=flowers, max_loaded_models=1, **more)


def test_the_first_models_are_loaded_at_the_start_and_the_others_when_they_are_asked_for(
    flowers: Path,
) -> None:
    with of_one(flowers) as service:
        assert service.states() == {"lily": "ready", "rose": "idle"}
        assert service.client.get("/health/ready").status_code == 200
        for name, expected in (("rose", 0), ("lily", 2), ("lily", 2), ("rose", 0)):
            assert best(service.predict(name, 0)) == [expected]
            assert service.num_in_memory == 1
            assert service.states()[name] == "ready"
        assert len(service.runners) == 4


def test_the_one_that_was_used_least_recently_makes_room(flowers: Path, tiny_model: Path) -> None:
    put_model(flowers / "iris", tiny_model)
    with served(repository=flowers, max_loaded_models=2) as service:
        assert service.states() == {"iris": "ready", "lily": "ready", "rose": "idle"}
        best(service.predict("lily", 0))
        best(service.predict("iris", 0))
        best(service.predict("rose", 0))
        assert service.states() == {"iris": "ready", "lily": "idle", "rose": "ready"}
        best(service.predict("lily", 0))
        assert service.states() == {"iris": "idle", "lily": "ready", "rose": "ready"}


def test_a_model_that_answers_makes_room_when_it_has_answered(
    flowers: Path, threads: ThreadPoolExecutor
) -> None:
    with of_one(flowers) as service:
        lily = service.runner_of("lily")
        with lily.gate.closed():
            first = threads.submit(service.predict, "lily", 0)
            lily.gate.wait_for_arrival()
            second = threads.submit(service.predict, "rose", 0)
            wait_until(lambda: service.models["lily"].pool is None)
            assert len(service.runners) == 1
            third = threads.submit(service.predict, "lily", 1)
        assert [answer(future) for future in (first, second, third)] == [[2], [0], [1]]
        wait_until(lambda: service.num_in_memory == 1)


def test_an_idle_model_makes_room_before_one_that_answers(
    flowers: Path, tiny_model: Path, threads: ThreadPoolExecutor
) -> None:
    put_model(flowers / "iris", tiny_model)
    with served(repository=flowers, max_loaded_models=2) as service:
        iris = service.runner_of("iris")
        with iris.gate.closed():
            waiting = threads.submit(service.predict, "iris", 0)
            iris.gate.wait_for_arrival()
            best(service.predict("lily", 0))  # later than iris
            assert best(service.predict("rose", 0)) == [0]
            assert service.states() == {"iris": "ready", "lily": "idle", "rose": "ready"}
        assert answer(waiting) == [0]


def test_clients_of_two_models_of_which_one_fits_are_all_answered(
    flowers: Path, threads: ThreadPoolExecutor
) -> None:
    with of_one(flowers) as service:

        def ask(name: str, expected: int) -> bool:
            return all(best(service.predict(name, 0)) == [expected] for _ in range(4))

        start = time.monotonic()
        clients = [threads.submit(ask, *model) for model in (("rose", 0), ("lily", 2))]
        assert all(client.result(60) for client in clients)
        assert time.monotonic() - start < 25  # none has waited until its time was nearly over
        wait_until(lambda: service.num_in_memory == 1)


def test_many_requests_for_a_model_that_is_not_in_memory_load_it_once(
    flowers: Path, threads: ThreadPoolExecutor
) -> None:
    gate = Gate()
    with of_one(flowers, before_load=gate.enter) as service:
        with gate.closed():
            waiting = [threads.submit(service.predict, "rose", channel) for channel in (0, 1, 2) * 2]
            gate.wait_for_arrival()
        assert [answer(future) for future in waiting] == [[0], [1], [2]] * 2
        assert len(service.runners) == 2


def test_a_request_waits_for_its_model_as_long_as_it_has_time_and_the_next_one_finds_it(
    flowers: Path,
) -> None:
    gate = Gate()
    with of_one(flowers, before_load=gate.enter, timeout_s=0.3) as service:
        with gate.closed():
            refused = service.predict("rose", 0)
            assert_refused(refused, 503, "there was no time to load the model rose")
        wait_until(lambda: service.states()["rose"] == "ready")
        assert best(service.predict("rose", 0)) == [0]


def test_a_model_that_cannot_be_loaded_is_not_tried_for_each_request(
    flowers: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_broken(flowers / "rose")
    loads: list[None] = []
    with of_one(flowers, before_load=lambda: loads.append(None)) as service:
        for _ in range(3):
            assert_refused(service.predict("rose", 0), 503, "the model rose is unavailable: ")
        assert len(loads) == 2
        put_model(flowers / "rose", tiny_model)
        assert_refused(service.predict("rose", 0), 503, "the model rose is unavailable: ")
        monkeypatch.setattr(registry, "_RETRY_S", 0)
        assert best(service.predict("rose", 0)) == [0]


def test_a_model_that_was_mended_makes_others_leave_too(
    flowers: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_broken(flowers / "rose")
    with of_one(flowers) as service:
        assert_refused(service.predict("rose", 0), 503, "the model rose is unavailable: ")
        assert best(service.predict("lily", 0)) == [2]
        put_model(flowers / "rose", tiny_model)
        monkeypatch.setattr(registry, "_RETRY_S", 0)
        assert best(service.predict("rose", 0)) == [0]
        wait_until(lambda: service.num_in_memory == 1)


def test_a_model_that_is_loaded_on_request_makes_others_leave(flowers: Path, tiny_model: Path) -> None:
    put_model(flowers / "iris", tiny_model)
    with of_one(flowers) as service:
        assert service.states()["iris"] == "ready"
        service.call(service.changes.load, "rose")
        assert service.states() == {"iris": "idle", "lily": "idle", "rose": "ready"}
        assert service.num_in_memory == 1


def test_an_unloaded_model_is_not_loaded_by_requests(flowers: Path) -> None:
    with of_one(flowers) as service:
        for name in ("lily", "rose"):
            service.call(service.models.unload, name)
            assert_refused(service.predict(name, 0), 404, f"the model {name} is unloaded")
        assert len(service.runners) == 1


def test_loads_after_the_start_are_counted(flowers: Path) -> None:
    with of_one(flowers) as service:
        best(service.predict("rose", 0))
        put_broken(flowers / "lily")
        with pytest.raises(ModelControlError):
            service.call(service.changes.load, "lily")
        text = service.client.get("/metrics").text
    assert 'clas_model_loads_total{model="rose",result="success"} 1.0' in text
    assert 'clas_model_loads_total{model="lily",result="failure"} 1.0' in text
    assert 'clas_model_loads_total{model="lily",result="success"}' not in text


# The end


def test_a_server_that_stops_refuses_requests_for_all_models(flowers: Path) -> None:
    with served(repository=flowers) as service:
        assert service.models.close(10)
        for name in ("rose", "lily"):
            assert_refused(service.predict(name, 0), 503, "the server is stopping")
        assert_refused(service.client.get("/health/ready"), 503, "the server is stopping")
        assert service.num_in_memory == 0


def test_what_is_being_loaded_is_given_up_at_the_end(flowers: Path) -> None:
    gate = Gate()
    with gate.closed(), served(repository=flowers, before_load=gate.enter, wait=False) as service:
        gate.wait_for_arrival()
        assert not service.models.close(0.05)
        gate.open()
        assert service.models.close(10)
        assert len(service.runners) == 1  # the other one was never begun


def test_what_was_replaced_and_still_answers_is_waited_for_at_the_end(
    flowers: Path, threads: ThreadPoolExecutor
) -> None:
    with served(repository=flowers) as service:
        rose = service.runner_of("rose")
        with rose.gate.closed():
            waiting = threads.submit(service.predict, "rose", 0)
            rose.gate.wait_for_arrival()
            service.call(service.changes.load, "rose")
            assert not service.models.close(0.05)
        assert answer(waiting) == [0]
        assert service.models.close(10)
        assert service.num_in_memory == 0


def test_a_thread_without_an_event_loop_can_wait_for_all_models(
    flowers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_broken(flowers / "iris")
    caplog.set_level(logging.INFO, "clas_system")
    with served(repository=flowers, wait=False) as service:
        service.models.load(lambda: False)
        assert service.states() == {"iris": "unavailable", "lily": "ready", "rose": "ready"}


def test_whoever_waits_for_all_models_may_give_up(flowers: Path, threads: ThreadPoolExecutor) -> None:
    gate = Gate()
    has_given_up = False
    with gate.closed(), served(repository=flowers, before_load=gate.enter, wait=False) as service:
        waiting = threads.submit(service.models.load, lambda: has_given_up)
        gate.wait_for_arrival()
        assert not waiting.done()
        has_given_up = True
        wait_until(waiting.done)
        gate.open()
