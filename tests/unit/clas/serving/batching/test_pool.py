import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from clas.engine.paddle import Batch, Scores
from clas.errors import UnavailableError
from clas.model.files import ModelFiles
from clas.serving.batching.job import Job
from clas.serving.batching.pool import Engine
from clas.settings import Settings
from gates import PATIENCE_S, Gate, wait_until
from served import HeldPredictor, settings_of
from tiny_models import brightest_channel, solid_batch, write_model


class MortalPredictor(HeldPredictor):
    """Dies instead of answering, when it is told to."""

    is_doomed = False

    def run(self, *parts: Batch) -> Scores:
        if self.is_doomed:
            self.sizes.append(sum(map(len, parts)))
            self.gate.enter()
            self.is_alive = False
            raise UnavailableError("the model's process has died")
        return super().run(*parts)


class Opener:
    """Opens predictors, and keeps them; can be held, or fail."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.opened: list[MortalPredictor] = []
        self.faults: list[Exception] = []

    def __call__(self, files: ModelFiles, settings: Settings) -> MortalPredictor:
        self.gate.enter()
        if self.faults:
            raise self.faults.pop(0)
        self.opened.append(MortalPredictor(files, settings))
        return self.opened[-1]


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def engine_of(opener: Opener) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(model: Path, threads: Sequence[int] = (0,), **settings: object) -> Engine:
        engines.append(Engine(settings_of(model, **settings), 0, lambda _: None, opener, threads))
        return engines[-1]

    yield make
    for engine in engines:
        assert engine.close(PATIENCE_S)


@pytest.fixture
def engine(engine_of: Callable[..., Engine], tiny_model: Path) -> Engine:
    """One that is ready."""
    ready = engine_of(tiny_model)
    ready.start()
    wait_until(lambda: not ready.is_loading)
    return ready


def submit(engine: Engine, *channels: int) -> Job:
    return engine.batcher.submit(solid_batch(*channels), time.monotonic() + PATIENCE_S)


def best(job: Job) -> list[int]:
    classes: list[int] = job.scores.result(PATIENCE_S).argmax(1).tolist()
    return classes


def test_the_model_is_loaded_after_the_start_and_answers(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_of(tiny_model)
    with caplog.at_level(logging.INFO, "clas_system"), opener.gate.closed():
        engine.start()
        opener.gate.wait_for_arrival()
        assert engine.is_loading
        with pytest.raises(UnavailableError, match="the model is being loaded"):
            engine.usable()
    wait_until(lambda: not engine.is_loading)
    assert "model loaded and warmed up in " in caplog.text
    assert engine.usable() is engine.classifier
    assert not engine.has_failed
    assert best(submit(engine, 2, 0)) == [2, 0]


def test_batches_are_as_large_as_the_model_takes(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path
) -> None:
    engine = engine_of(tiny_model, max_batch_size=2)
    engine.start()
    wait_until(lambda: not engine.is_loading)
    wait_until(lambda: engine.batcher.beats)
    assert best(submit(engine, 0, 1, 2, 1, 0)) == [0, 1, 2, 1, 0]
    assert opener.opened[0].sizes == [2, 2, 1]


def test_starting_twice_loads_one_model(engine: Engine, opener: Opener) -> None:
    engine.start()
    assert best(submit(engine, 1)) == [1]
    assert len(opener.opened) == 1


def test_a_model_that_is_missing_ends_the_start(
    engine_of: Callable[..., Engine], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty").mkdir()
    engine = engine_of(tmp_path / "empty")
    engine.start()
    wait_until(lambda: engine.has_failed)
    assert not engine.is_loading
    assert engine.classifier is None
    [record] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert record.getMessage().startswith("ModelNotFoundError: ")
    assert record.exc_info is None


def test_an_unknown_reason_ends_the_start_too_and_is_logged_with_its_trace(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opener.faults.append(ZeroDivisionError("as a test"))
    engine = engine_of(tiny_model)
    engine.start()
    wait_until(lambda: engine.has_failed)
    assert not engine.is_loading
    assert "the model can't be loaded" in caplog.text
    assert "ZeroDivisionError: as a test" in caplog.text


def test_a_lost_model_is_loaded_again_and_what_is_queued_is_answered(engine: Engine, opener: Opener) -> None:
    first = opener.opened[0]
    first.is_doomed = True
    with opener.gate.closed():
        with first.gate.closed():
            lost = submit(engine, 0)
            first.gate.wait_for_arrival()
            queued = [submit(engine, channel) for channel in (1, 2)]
        with pytest.raises(UnavailableError, match="has died"):
            lost.scores.result(PATIENCE_S)
        opener.gate.wait_for_arrival()
        wait_until(lambda: engine.is_loading)
        assert engine.usable() is engine.classifier  # requests are queued meanwhile
        queued.append(submit(engine, 0))
        assert not any(job.scores.done() for job in queued)
    assert [best(job) for job in queued] == [[1], [2], [0]]
    assert not engine.is_loading
    assert not engine.has_failed
    assert len(opener.opened) == 2


def test_a_model_that_cannot_be_loaded_again_at_once_is_tried_again(
    engine: Engine, opener: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("clas.serving.batching.pool_member._BACK_OFF_S", 0.01)
    opener.faults += [ZeroDivisionError("first"), ZeroDivisionError("second")]
    opener.opened[0].is_doomed = True
    with pytest.raises(UnavailableError):
        submit(engine, 0).scores.result(PATIENCE_S)
    assert best(submit(engine, 1)) == [1]
    assert caplog.text.count("the model can't be loaded") == 2
    assert not engine.has_failed


def test_an_engine_closes_while_it_waits_to_load_again(engine: Engine, opener: Opener) -> None:
    opener.faults.append(ZeroDivisionError("as a test"))
    opener.opened[0].is_doomed = True
    with pytest.raises(UnavailableError):
        submit(engine, 0).scores.result(PATIENCE_S)
    wait_until(lambda: not opener.faults)
    start = time.monotonic()
    assert engine.close(PATIENCE_S)
    assert time.monotonic() - start < 3  # not the five seconds that it would wait


def test_close_answers_what_is_queued_and_ends_the_model(engine: Engine, opener: Opener) -> None:
    predictor = opener.opened[0]
    with predictor.gate.closed():
        jobs = [submit(engine, 0)]
        predictor.gate.wait_for_arrival()
        jobs += [submit(engine, 1), submit(engine, 2)]
        assert not engine.close(0)
        with pytest.raises(UnavailableError, match="the server is stopping"):
            engine.usable()
        assert predictor.is_alive
    assert engine.close(PATIENCE_S)
    assert [best(job) for job in jobs] == [[0], [1], [2]]
    assert not predictor.is_alive


def test_closing_during_the_first_load_ends_the_model_when_it_is_there(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path
) -> None:
    engine = engine_of(tiny_model)
    with opener.gate.closed():
        engine.start()
        opener.gate.wait_for_arrival()
        assert not engine.close(0)
    assert engine.close(PATIENCE_S)
    assert not opener.opened[0].is_alive


def test_an_engine_that_was_never_started_is_closed_at_once(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path
) -> None:
    assert engine_of(tiny_model).close(0)
    assert opener.opened == []


def test_the_first_of_several_predictors_serves_before_the_others_are_loaded(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path
) -> None:
    engine = engine_of(tiny_model, threads=(2, 1, 1))
    engine.start()
    wait_until(lambda: not engine.is_loading)
    with opener.gate.closed():
        assert best(submit(engine, 2)) == [2]
    wait_until(lambda: len(engine.batcher._owners) == 3)
    wait_until(lambda: engine.predictors == (3, 3))
    assert [predictor.num_threads for predictor in opener.opened] == [2, 1, 1]
    assert [owner.is_wide for owner in engine.batcher._owners] == [True, False, False]
    assert best(submit(engine, 1)) == [1]
    assert engine.close(PATIENCE_S)
    assert not any(predictor.is_alive for predictor in opener.opened)


def test_predictors_with_equal_threads_share_all_requests(
    engine_of: Callable[..., Engine], tiny_model: Path
) -> None:
    engine = engine_of(tiny_model, threads=(1, 1))
    engine.start()
    wait_until(lambda: len(engine.batcher._owners) == 2)
    assert not any(owner.is_wide for owner in engine.batcher._owners)


def test_while_one_predictor_is_replaced_the_others_answer(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path
) -> None:
    engine = engine_of(tiny_model, threads=(2, 1))
    engine.start()
    wait_until(lambda: len(engine.batcher._owners) == 2)
    opener.opened[0].is_doomed = True
    with opener.gate.closed():
        with pytest.raises(UnavailableError):
            submit(engine, 0).scores.result(PATIENCE_S)
        opener.gate.wait_for_arrival()
        assert not engine.is_loading
        assert best(submit(engine, 1)) == [1]
    wait_until(lambda: len(engine.batcher._owners) == 2)
    assert len(opener.opened) == 3


def test_a_predictor_is_not_replaced_by_one_of_another_model_while_others_serve(
    engine_of: Callable[..., Engine],
    opener: Opener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("clas.serving.batching.pool_member._BACK_OFF_S", 0.01)
    engine = engine_of(write_model(tmp_path / "model"), threads=(2, 1))
    engine.start()
    wait_until(lambda: len(engine.batcher._owners) == 2)
    write_model(tmp_path / "model", brightest_channel(7), num_classes=7)
    opener.opened[0].is_doomed = True
    with pytest.raises(UnavailableError):
        submit(engine, 0).scores.result(PATIENCE_S)
    wait_until(lambda: "the model is another one than at the start" in caplog.text)
    assert best(submit(engine, 1)) == [1]
    assert len(engine.batcher._owners) == 1


def test_a_model_that_the_settings_do_not_fit_is_ended(
    engine_of: Callable[..., Engine], opener: Opener, tiny_model: Path
) -> None:
    engine = engine_of(tiny_model, main_indicator="ThreshOutput")  # which is for two classes, not for six
    engine.start()
    wait_until(lambda: engine.has_failed and not opener.opened[0].is_alive)
