from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clas.serving.metrics import Metrics
from clas.serving.models.pulse import Pulse
from gates import Gate, wait_until
from model_folders import put_broken
from served import served, unloaded


def test_it_is_felt_while_all_models_respond(flowers: Path) -> None:
    with served(repository=flowers) as service:
        pulse = Pulse()
        for _ in range(3):
            wait_until(lambda: pulse.is_felt(service.models))


def test_one_model_that_hangs_among_others_is_noticed(flowers: Path, threads: ThreadPoolExecutor) -> None:
    with served(repository=flowers) as service:
        pulse = Pulse()
        rose, lily = (service.models[name].pool for name in ("rose", "lily"))
        assert rose
        assert lily
        with service.runner_of("rose").gate.closed() as gate:
            answer = threads.submit(service.predict, "rose", 0)
            gate.wait_for_arrival()
            pulse.is_felt(service.models)  # it may have sent one before
            before = lily.beats
            wait_until(lambda: lily.beats > before + 3)
            assert not pulse.is_felt(service.models)
        assert answer.result(10).status_code == 200
        wait_until(lambda: pulse.is_felt(service.models))


def test_so_is_one_that_was_replaced_and_still_answers(flowers: Path, threads: ThreadPoolExecutor) -> None:
    with served(repository=flowers) as service:
        pulse = Pulse()
        lily = service.models["lily"].pool
        assert lily
        with service.runner_of("rose").gate.closed() as gate:
            answer = threads.submit(service.predict, "rose", 0)
            gate.wait_for_arrival()
            service.call(service.changes.load, "rose")
            pulse.is_felt(service.models)
            before = lily.beats
            wait_until(lambda: lily.beats > before + 3)
            assert not pulse.is_felt(service.models)
        assert answer.result(10).status_code == 200
        wait_until(lambda: pulse.is_felt(service.models))


def test_a_model_that_is_loaded_or_cannot_be_needs_no_pulse(flowers: Path) -> None:
    gate = Gate()
    put_broken(flowers / "iris")
    with gate.closed(), served(repository=flowers, before_load=gate.enter, wait=False) as service:
        pulse = Pulse()
        gate.wait_for_arrival()
        assert all(pulse.is_felt(service.models) for _ in range(3))
        gate.open()
        wait_until(lambda: service.states() == {"iris": "unavailable", "lily": "ready", "rose": "ready"})
        for _ in range(3):
            wait_until(lambda: pulse.is_felt(service.models))


def test_a_model_that_is_not_in_memory_needs_none(flowers: Path) -> None:
    assert all(Pulse().is_felt(unloaded(Metrics(), "rose")) for _ in range(3))
    with served(repository=flowers) as service:
        pulse = Pulse()
        for name in ("rose", "lily"):
            service.call(service.changes.unload, name)
        assert all(pulse.is_felt(service.models) for _ in range(3))
