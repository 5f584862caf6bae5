import dataclasses
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from clas.engine.base import Batch, EngineClass, Scores
from clas.errors import ModelLostError, UnavailableError
from clas.model.files import ModelFiles
from clas.serving.batching.job import Job
from clas.serving.batching.pool import Pool
from clas.serving.batching.runner import InProcessRunner, open_runner
from clas.serving.options import ServerOptions
from clas.settings import Settings
from gates import PATIENCE_S, Gate, wait_until
from served import HeldRunner, settings_of
from tiny_models import brightest_channel, needs_paddle, solid_batch, write_model

CHANGED = "the model's files have changed since the start: restart, or reload the standalone server by SIGHUP"


class MortalRunner(HeldRunner):
    """Dies instead of answering, when it is told to."""

    def __init__(
        self, engine_class: EngineClass, files: ModelFiles, settings: Settings, doom: Callable[[], bool]
    ) -> None:
        super().__init__(engine_class, files, settings)
        self.is_doomed = False
        self._doom = doom

    def run(self, *parts: Batch) -> Scores:
        if self.is_doomed or self._doom():
            self.sizes.append(sum(map(len, parts)))
            self.gate.enter()
            self.is_alive = False
            raise UnavailableError("the model's process has died")
        return super().run(*parts)


class Opener:
    """Opens runners, and keeps them; can be held, or fail."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.opened: list[MortalRunner] = []
        self.faults: list[Exception] = []
        self.are_doomed = False

    def __call__(self, engine_class: EngineClass, files: ModelFiles, settings: Settings) -> MortalRunner:
        self.gate.enter()
        if self.faults:
            raise self.faults.pop(0)
        self.opened.append(MortalRunner(engine_class, files, settings, lambda: self.are_doomed))
        return self.opened[-1]


@pytest.fixture
def no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clas.serving.batching.pool_member._BACK_OFF_S", 0.01)


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def pool_of(opener: Opener) -> Iterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def make(model: Path, threads: Sequence[int] = (0,), **settings: object) -> Pool:
        pools.append(Pool(settings_of(model, **settings), 0, lambda _: None, opener, threads))
        return pools[-1]

    yield make
    for pool in pools:
        assert pool.close(PATIENCE_S)


@pytest.fixture
def pool(pool_of: Callable[..., Pool], tiny_model: Path) -> Pool:
    """One that is ready."""
    ready = pool_of(tiny_model)
    ready.start()
    wait_until(lambda: not ready.is_loading)
    return ready


def submit(pool: Pool, *channels: int) -> Job:
    return pool.submit(solid_batch(*channels), time.monotonic() + PATIENCE_S)


def best(job: Job) -> list[int]:
    classes: list[int] = job.scores.result(PATIENCE_S).argmax(1).tolist()
    return classes


def lose(pool: Pool, opener: Opener) -> None:
    """Have the model die on a request, which the next one answers."""
    opener.opened[-1].is_doomed = True
    assert best(submit(pool, 0)) == [0]


def test_the_model_is_loaded_after_the_start_and_answers(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pool_of(tiny_model)
    with caplog.at_level(logging.INFO, "clas_system"):
        with opener.gate.closed():
            pool.start()
            opener.gate.wait_for_arrival()
            assert pool.is_loading
            with pytest.raises(UnavailableError, match="the model is being loaded"):
                pool.ready_pipeline()
        wait_until(lambda: not pool.is_loading)
    assert "model loaded and warmed up in " in caplog.text
    assert pool.ready_pipeline() is pool.pipeline
    assert not pool.has_failed
    assert best(submit(pool, 2, 0)) == [2, 0]


@needs_paddle
def test_only_the_first_of_several_predictors_says_what_is_loaded(
    pool_of: Callable[..., Pool], tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = pool_of(tiny_model, threads=(1, 1))
    with caplog.at_level(logging.DEBUG, "clas_system"):
        pool.start()
        wait_until(lambda: pool.predictors == (2, 2))
    for start in ("engine: ", "model loaded and warmed up in "):
        levels = [record.levelno for record in caplog.records if record.getMessage().startswith(start)]
        assert sorted(levels) == [logging.DEBUG, logging.INFO]


def test_a_model_that_was_lost_says_again_how_it_is_loaded(
    pool: Pool, opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "clas_system"):
        lose(pool, opener)
    assert "model loaded and warmed up in " in caplog.text


def test_batches_are_as_large_as_the_model_takes(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model, max_batch_size=2)
    pool.start()
    wait_until(lambda: not pool.is_loading)
    wait_until(lambda: pool.beats)
    assert best(submit(pool, 0, 1, 2, 1, 0)) == [0, 1, 2, 1, 0]
    assert opener.opened[0].sizes == [2, 2, 1]


def test_starting_twice_loads_one_model(pool: Pool, opener: Opener) -> None:
    pool.start()
    assert best(submit(pool, 1)) == [1]
    assert len(opener.opened) == 1


def test_a_model_that_is_missing_ends_the_start(
    pool_of: Callable[..., Pool], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty").mkdir()
    pool = pool_of(tmp_path / "empty")
    pool.start()
    wait_until(lambda: pool.has_failed)
    assert not pool.is_loading
    assert pool.pipeline is None
    [record] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert record.getMessage().startswith("ModelNotFoundError: ")
    assert record.exc_info is None


def test_an_unknown_reason_ends_the_start_too_and_is_logged_with_its_trace(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opener.faults.append(ZeroDivisionError("as a test"))
    pool = pool_of(tiny_model)
    pool.start()
    wait_until(lambda: pool.has_failed)
    assert not pool.is_loading
    assert "the model can't be loaded" in caplog.text
    assert "ZeroDivisionError: as a test" in caplog.text


def test_a_lost_model_is_loaded_again_and_what_is_queued_is_answered(pool: Pool, opener: Opener) -> None:
    first = opener.opened[0]
    first.is_doomed = True
    with opener.gate.closed():
        with first.gate.closed():
            lost = submit(pool, 0)
            first.gate.wait_for_arrival()
            queued = [submit(pool, channel) for channel in (1, 2)]
        opener.gate.wait_for_arrival()
        wait_until(lambda: pool.is_loading)
        assert pool.ready_pipeline() is pool.pipeline  # requests are queued meanwhile
        queued.append(submit(pool, 0))
        assert not any(job.scores.done() for job in (lost, *queued))
    assert [best(job) for job in (lost, *queued)] == [[0], [1], [2], [0]]
    assert not pool.is_loading
    assert not pool.has_failed
    assert len(opener.opened) == 2


def test_a_model_that_cannot_be_loaded_again_at_once_is_tried_again(
    pool: Pool, opener: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("clas.serving.batching.pool_member._BACK_OFF_S", 0.01)
    opener.faults += [ZeroDivisionError("first"), ZeroDivisionError("second")]
    lose(pool, opener)
    assert best(submit(pool, 1)) == [1]
    assert caplog.text.count("the model can't be loaded") == 2
    assert not pool.has_failed


def test_a_request_that_ends_every_model_fails_and_others_are_answered(pool: Pool, opener: Opener) -> None:
    opener.are_doomed = True
    job = submit(pool, 0)
    with pytest.raises(UnavailableError, match="has died"):
        job.scores.result(PATIENCE_S)
    opener.are_doomed = False
    assert best(submit(pool, 1)) == [1]


@pytest.mark.usefixtures("no_back_off")
def test_a_predictor_that_fails_is_replaced_and_does_not_serve_meanwhile(
    opener: Opener, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [ZeroDivisionError("as a test")]

    def fail_once(_: int) -> None:
        if faults:
            raise faults.pop()

    pool = Pool(settings_of(tiny_model), 0, fail_once, opener)
    try:
        pool.start()
        wait_until(lambda: not pool.is_loading)
        with opener.gate.closed():
            with pytest.raises(ZeroDivisionError):
                submit(pool, 0).scores.result(PATIENCE_S)
            opener.gate.wait_for_arrival()
            assert pool.is_loading
        assert best(submit(pool, 1)) == [1]
    finally:
        assert pool.close(PATIENCE_S)
    assert "a predictor failed: its model is loaded again" in caplog.text


def test_an_engine_closes_while_it_waits_to_load_again(pool: Pool, opener: Opener) -> None:
    opener.faults.append(ZeroDivisionError("as a test"))
    opener.opened[0].is_doomed = True
    submit(pool, 0)
    wait_until(lambda: not opener.faults)
    start = time.monotonic()
    assert pool.close(PATIENCE_S)
    assert time.monotonic() - start < 3  # not the five seconds that it would wait


def test_close_answers_what_is_queued_and_ends_the_model(pool: Pool, opener: Opener) -> None:
    runner = opener.opened[0]
    with runner.gate.closed():
        jobs = [submit(pool, 0)]
        runner.gate.wait_for_arrival()
        jobs += [submit(pool, 1), submit(pool, 2)]
        assert not pool.close(0)
        with pytest.raises(UnavailableError, match="the server is stopping"):
            pool.ready_pipeline()
        assert runner.is_alive
    assert pool.close(PATIENCE_S)
    assert [best(job) for job in jobs] == [[0], [1], [2]]
    assert not runner.is_alive


def test_closing_during_the_first_load_ends_the_model_when_it_is_there(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model)
    with opener.gate.closed():
        pool.start()
        opener.gate.wait_for_arrival()
        assert not pool.close(0)
    assert pool.close(PATIENCE_S)
    assert not opener.opened[0].is_alive


def test_an_engine_that_was_never_started_is_closed_at_once(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    assert pool_of(tiny_model).close(0)
    assert opener.opened == []


@needs_paddle
def test_the_first_of_several_predictors_serves_before_the_others_are_loaded(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model, threads=(2, 1, 1))
    pool.start()
    wait_until(lambda: not pool.is_loading)
    with opener.gate.closed():
        assert best(submit(pool, 2)) == [2]
    wait_until(lambda: len(pool._batcher._members) == 3)
    wait_until(lambda: pool.predictors == (3, 3))
    assert [runner.info.num_threads for runner in opener.opened] == [2, 1, 1]
    assert sorted(server.is_wide for server in pool._batcher._members) == [False, False, True]
    assert best(submit(pool, 1)) == [1]
    assert pool.close(PATIENCE_S)
    assert not any(runner.is_alive for runner in opener.opened)


@needs_paddle
def test_predictors_with_equal_threads_share_all_requests(
    pool_of: Callable[..., Pool], tiny_model: Path
) -> None:
    pool = pool_of(tiny_model, threads=(1, 1))
    pool.start()
    wait_until(lambda: len(pool._batcher._members) == 2)
    assert not any(server.is_wide for server in pool._batcher._members)


@needs_paddle
def test_predictors_compute_as_the_first_one_could(tiny_model: Path) -> None:
    """Else each of them would wait anew until the attempt to load in bf16 is given up."""
    tried: list[tuple[str, bool]] = []

    def open_slow(engine_class: EngineClass, files: ModelFiles, settings: Settings) -> HeldRunner:
        tried.append((settings.precision, settings.enable_mkldnn))
        fallen_back = dataclasses.replace(settings, precision="fp32", enable_mkldnn=False)
        return HeldRunner(engine_class, files, fallen_back)

    settings = settings_of(tiny_model, engine="paddle", precision="bf16")
    pool = Pool(settings, 0, lambda _: None, open_slow, (1, 1))
    pool.start()
    wait_until(lambda: pool.predictors == (2, 2))
    assert pool.close(PATIENCE_S)
    assert tried == [("bf16", True), ("fp32", False)]


@needs_paddle
def test_while_one_predictor_is_replaced_the_others_answer(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model, threads=(2, 1))
    pool.start()
    wait_until(lambda: len(pool._batcher._members) == 2)
    opener.opened[0].is_doomed = True
    with opener.gate.closed():
        assert best(submit(pool, 0)) == [0]  # from the other one
        opener.gate.wait_for_arrival()
        assert not pool.is_loading
        assert best(submit(pool, 1)) == [1]
    wait_until(lambda: len(pool._batcher._members) == 2)
    assert len(opener.opened) == 3


def test_a_predictor_is_not_replaced_by_one_of_another_model_while_others_serve(
    pool_of: Callable[..., Pool],
    opener: Opener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("clas.serving.batching.pool_member._BACK_OFF_S", 0.01)
    pool = pool_of(write_model(tmp_path / "model"), threads=(2, 1))
    pool.start()
    wait_until(lambda: len(pool._batcher._members) == 2)
    write_model(tmp_path / "model", brightest_channel(7), num_classes=7)
    opener.opened[0].is_doomed = True
    assert best(submit(pool, 0)) == [0]
    wait_until(lambda: CHANGED in caplog.text)
    assert best(submit(pool, 1)) == [1]
    assert len(pool._batcher._members) == 1


def test_a_model_that_the_settings_do_not_fit_is_ended(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model, main_indicator="PersonAttribute")  # which is for 26 outputs, not for six
    pool.start()
    wait_until(lambda: pool.has_failed and not opener.opened[0].is_alive)


LABELS = "".join(f"{number} name{number}\n" for number in range(6))


def test_a_label_file_that_is_gone_meanwhile_does_not_keep_a_lost_model_down(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(LABELS)
    pool = pool_of(tiny_model, class_id_map_file=str(labels))
    pool.start()
    wait_until(lambda: not pool.is_loading)
    labels.unlink()
    lose(pool, opener)
    assert best(submit(pool, 1)) == [1]
    assert pool.ready_pipeline().output.labels[5] == "name5"
    assert len(opener.opened) == 2


def test_a_lost_model_is_opened_again_and_nothing_else_is_read_again(
    pool_of: Callable[..., Pool], opener: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_model(tmp_path / "model")
    config = "PostProcess:\n  Topk: {topk: %d, label_list: [red, green, blue, d, e, f]}\n"
    (model / "inference.yml").write_text(config % 2)
    pool = pool_of(model)
    with caplog.at_level(logging.INFO, "clas_system"):
        pool.start()
        wait_until(lambda: not pool.is_loading)
        pipeline = pool.ready_pipeline()
        lose(pool, opener)
        assert best(submit(pool, 1)) == [1]
    assert pool.ready_pipeline() is pipeline
    assert pipeline.output.k == 2
    messages = [record.getMessage().partition(":")[0] for record in caplog.records]
    once = ("code", "model", "inference.yml", "preprocess", "top_k")
    assert {name: messages.count(name) for name in once} == dict.fromkeys(once, 1)
    assert messages.count("engine") == 2


@pytest.mark.usefixtures("no_back_off")
@pytest.mark.parametrize("name", ["inference.pdmodel", "inference.pdiparams", "inference.yml"])
def test_a_lost_model_is_opened_again_from_the_same_bytes_only(
    pool_of: Callable[..., Pool], opener: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Of the same size and time as before, as a copy that keeps the time may be."""
    model = write_model(tmp_path / "model")
    (model / "inference.yml").write_text("PostProcess:\n  Topk: {topk: 3}\n")
    pool = pool_of(model)
    pool.start()
    wait_until(lambda: not pool.is_loading)
    content, times = (model / name).read_bytes(), (model / name).stat()
    (model / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(model / name, ns=(times.st_atime_ns, times.st_mtime_ns))
    opener.opened[0].is_doomed = True
    with pytest.raises(UnavailableError, match=CHANGED):
        submit(pool, 0).scores.result(PATIENCE_S)
    with pytest.raises(UnavailableError, match=CHANGED):
        pool.ready_pipeline()
    assert not pool.has_failed
    (model / name).write_bytes(content)
    wait_until(lambda: not pool.is_loading)
    assert best(submit(pool, 1)) == [1]
    assert pool.ready_pipeline().output.k == 3
    assert len(opener.opened) == 2
    assert len(re.findall(f"^CRITICAL .*{CHANGED}", caplog.text, re.MULTILINE)) == 1


def test_files_that_were_only_touched_are_the_same(pool: Pool, opener: Opener, tiny_model: Path) -> None:
    os.utime(max(tiny_model.iterdir()))
    lose(pool, opener)
    assert len(opener.opened) == 2


@pytest.mark.usefixtures("no_back_off")
def test_a_model_that_changes_while_it_is_loaded_is_not_served(
    pool_of: Callable[..., Pool], opener: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_model(tmp_path / "model")
    pool = pool_of(model)
    with opener.gate.closed():
        pool.start()
        opener.gate.wait_for_arrival()
        write_model(tmp_path / "model", brightest_channel(7), num_classes=7)
    wait_until(lambda: pool.has_failed)
    assert "the model's files were changed while they were loaded" in caplog.text
    assert not opener.opened[0].is_alive


def test_a_label_file_that_is_missing_at_the_start_ends_it(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path, tmp_path: Path
) -> None:
    pool = pool_of(tiny_model, class_id_map_file=str(tmp_path / "none.txt"))
    pool.start()
    wait_until(lambda: pool.has_failed)
    assert opener.opened == []


def test_a_pool_is_well_as_long_as_no_batch_takes_too_long(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.check_health(1)
    wait_until(lambda: pool.beats)
    [member] = pool._batcher._members
    monkeypatch.setattr(member, "busy_since", time.monotonic() - 12)
    pool.check_health(3)
    with pytest.raises(UnavailableError, match="the model has been at one batch for 12 s"):
        pool.check_health(1)


def test_the_settings_threads_stay_where_the_pool_has_none(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model, cpu_num_threads=3)
    pool.start()
    wait_until(lambda: not pool.is_loading)
    assert opener.opened[0].info.num_threads == 3


def test_an_engine_in_this_process_has_a_member_for_each_call_that_it_runs_at_once(tiny_model: Path) -> None:
    options = ServerOptions(predictors=2)
    settings = settings_of(tiny_model, engine="openvino", cpu_num_threads=2)
    pool = Pool(settings, 0, lambda _: None, partial(open_runner, options=options), (2, 1, 1))
    pool.start()
    try:
        wait_until(lambda: pool.predictors == (2, 2))
        assert best(submit(pool, *[0, 1, 2] * 5)) == [0, 1, 2] * 5
    finally:
        assert pool.close(PATIENCE_S)


class Meeting:
    """Runs a model only when as many calls as there should be are under way."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=PATIENCE_S)

    def open(self, engine_class: EngineClass, files: ModelFiles, settings: Settings) -> InProcessRunner:
        engine = engine_class(files, settings)
        run = engine.run

        def meet(batch: Batch) -> Scores:
            self._barrier.wait()
            return run(batch)

        engine.run = meet  # type: ignore[method-assign]
        return InProcessRunner(engine)


def test_all_calls_of_an_engine_in_this_process_are_used_at_once(tiny_model: Path) -> None:
    """Whatever is planned for engines with processes, where the first predictor has all cores."""
    settings = settings_of(tiny_model, engine="openvino", cpu_num_threads=2)
    pool = Pool(settings, 0, lambda _: None, Meeting(2).open, (2, 1, 1))
    pool.start()
    try:
        wait_until(lambda: pool.predictors == (2, 2))
        assert best(submit(pool, 0, 1, 2, 0)) == [0, 1, 2, 0]
    finally:
        assert pool.close(PATIENCE_S)


@pytest.mark.usefixtures("no_back_off")
def test_a_member_that_fails_leaves_the_others_their_engine(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [ZeroDivisionError("as a test")]

    def on_batch(_: int) -> None:
        if faults:
            raise faults.pop()

    settings = settings_of(tiny_model, engine="openvino", cpu_num_threads=2)
    pool = Pool(settings, 0, on_batch, partial(open_runner, options=ServerOptions()), (2, 1, 1))
    pool.start()
    try:
        wait_until(lambda: pool.predictors == (2, 2))
        with pytest.raises(ZeroDivisionError):
            submit(pool, 0).scores.result(PATIENCE_S)
        wait_until(lambda: pool.predictors == (2, 2))
        assert best(submit(pool, *[0, 1, 2] * 5)) == [0, 1, 2] * 5
        assert "the model is lost" not in caplog.text
    finally:
        assert pool.close(PATIENCE_S)


# A pool that somebody waits for


def test_whoever_loads_a_pool_gets_it_when_it_serves(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model)
    assert (pool.version, pool.failure) == ("", "")
    pool.load()
    assert not pool.is_loading
    assert re.fullmatch(r"[0-9a-f]{12}", pool.version)
    pool.load()  # which it is already
    assert len(opener.opened) == 1
    assert best(submit(pool, 1)) == [1]


@needs_paddle
def test_whoever_loads_several_predictors_may_wait_for_the_first_one_only(
    pool_of: Callable[..., Pool], tiny_model: Path
) -> None:
    first, every = (pool_of(tiny_model, threads=(1, 1, 1)) for _ in range(2))
    first.load(all_predictors=False)
    assert first.predictors[0] >= 1
    every.load()
    assert every.predictors == (3, 3)


@needs_paddle
def test_a_predictor_that_cannot_be_loaded_beside_others_is_not_waited_for_for_ever(
    tiny_model: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_one(engine_class: EngineClass, files: ModelFiles, settings: Settings) -> MortalRunner:
        if opener.opened:
            raise ModelLostError("the model's process has died while it loaded")
        return opener(engine_class, files, settings)

    monkeypatch.setattr("clas.serving.batching.pool._OTHERS_LOAD_S", 0.1)
    pool = Pool(settings_of(tiny_model), 0, lambda _: None, open_one, (1, 1))
    pool.load()
    assert pool.predictors == (1, 2)
    assert not pool.has_failed
    assert pool.close(PATIENCE_S)


def test_why_a_pool_cannot_be_loaded_is_kept(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path, tmp_path: Path
) -> None:
    missing = pool_of(tmp_path / "none")
    missing.load()
    assert missing.has_failed
    assert f"{tmp_path}/none" in missing.failure
    opener.faults.append(ZeroDivisionError("as a test"))
    unknown = pool_of(tiny_model)
    unknown.load()
    assert unknown.has_failed
    assert unknown.failure == "ZeroDivisionError: as a test"


def test_whoever_loads_a_pool_may_give_up(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path
) -> None:
    pool = pool_of(tiny_model)
    with opener.gate.closed():
        pool.load(lambda: True)
        assert pool.is_loading
    wait_until(lambda: not pool.is_loading)


@pytest.mark.parametrize("when", ["before", "meanwhile", "afterwards"])
def test_nobody_waits_for_a_pool_that_is_closed(
    pool_of: Callable[..., Pool], opener: Opener, tiny_model: Path, when: str
) -> None:
    """As when a model is unloaded while the server starts."""
    pool = pool_of(tiny_model)
    is_late = threading.Event()
    timer = threading.Timer(10, is_late.set)
    timer.start()
    with opener.gate.closed():
        if when == "before":
            pool.begin_close()
        elif when == "afterwards":
            opener.gate.open()
            pool.load()
            pool.begin_close()
        loading = threading.Thread(target=pool.load, args=[is_late.is_set])
        loading.start()
        if when == "meanwhile":
            opener.gate.wait_for_arrival()
            pool.begin_close()
        opener.gate.open()
        loading.join()
    timer.cancel()
    assert not is_late.is_set()


def test_another_content_is_another_version(
    pool_of: Callable[..., Pool], tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    same, before = pool_of(tiny_model), pool_of(copy)
    for pool in (same, before):
        pool.load()
    assert same.version == before.version
    (copy / "inference.yml").write_text("Global:\n  infer_imgs: x\n")
    after = pool_of(copy)
    after.load()
    assert after.version not in ("", before.version)
    assert before.version == same.version  # it is what answers, whatever its folder holds now
