from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from clas.errors import ModelControlError, NotFoundError
from gates import Gate, wait_until
from model_folders import put_broken, put_model
from served import Served, best, served


def begin(service: Served, change: Any, name: str) -> "Future[None]":
    """Begin a change in the application's event loop."""
    assert service.client.portal
    future: Future[None] = service.client.portal.start_task_soon(change, name)
    return future


def test_a_model_is_loaded_from_its_folder_as_it_is_now(flowers: Path, exchanged_model: Path) -> None:
    with served(repository=flowers) as service:
        put_model(flowers / "rose", exchanged_model)
        assert best(service.predict("rose", 0)) == [0]
        service.call(service.changes.load, "rose")
        assert best(service.predict("rose", 0)) == [2]
        assert best(service.predict("lily", 0)) == [2]


def test_a_model_is_unloaded_and_loaded_again(flowers: Path) -> None:
    with served(repository=flowers) as service:
        service.call(service.changes.unload, "rose")
        assert service.states() == {"lily": "ready", "rose": "unloaded"}
        service.call(service.changes.load, "rose")
        assert service.states() == {"lily": "ready", "rose": "ready"}


def test_while_a_model_is_loaded_again_the_one_before_answers(flowers: Path) -> None:
    gate = Gate()
    with served(repository=flowers, before_load=gate.enter) as service:
        with gate.closed():
            loading = begin(service, service.changes.load, "rose")
            gate.wait_for_arrival()
            for _ in range(3):
                assert best(service.predict("rose", 0)) == [0]
            assert service.states()["rose"] == "ready"
            assert service.client.get("/health/ready").status_code == 200
            assert not loading.done()
        loading.result(10)
        assert best(service.predict("rose", 0)) == [0]


def test_changes_are_made_one_after_the_other(flowers: Path) -> None:
    gate = Gate()
    with served(repository=flowers, before_load=gate.enter) as service:
        with gate.closed():
            changes = [begin(service, service.changes.load, "rose")]
            gate.wait_for_arrival()
            changes += [
                begin(service, change, name)
                for change, name in (
                    (service.changes.unload, "rose"),
                    (service.changes.load, "lily"),
                    (service.changes.unload, "lily"),
                    (service.changes.load, "rose"),
                )
            ]
            assert service.states() == {"lily": "ready", "rose": "ready"}
            assert not any(change.done() for change in changes)
        for change in changes:
            change.result(10)
        assert service.states() == {"lily": "unloaded", "rose": "ready"}
        wait_until(lambda: service.num_in_memory == 1)


def test_a_change_that_cannot_be_made_keeps_no_other_one_out(flowers: Path) -> None:
    with served(repository=flowers) as service:
        put_broken(flowers / "rose")
        with pytest.raises(ModelControlError, match="the model rose can't be loaded: "):
            service.call(service.changes.load, "rose")
        for change in (service.changes.load, service.changes.unload):
            with pytest.raises(NotFoundError, match="there is no model 'iris'"):
                service.call(change, "iris")
        service.call(service.changes.load, "lily")
        assert service.states() == {"lily": "ready", "rose": "ready"}
