import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from clas.engine.paddle import PaddleEngine
from clas.errors import ModelLoadError, PredictionError, UnavailableError
from clas.model.files import ModelFiles
from clas.serving.batching.predictor_process import PredictorProcess
from clas.serving.options import ServerOptions
from clas.settings import Settings, load_settings
from gates import PATIENCE_S
from limits import no_descriptors
from serving_process import eventually, is_spawned
from tiny_models import brightest_channel, solid_batch, write_model


def files_in(directory: Path) -> ModelFiles:
    return ModelFiles(directory / "inference.pdmodel", directory / "inference.pdiparams")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings({"crop_size": 32, "resize_short": 32, "cpu_num_threads": 1})


@pytest.fixture(scope="module")
def options() -> ServerOptions:
    return ServerOptions(timeout_s=1.0)


@pytest.fixture
def process(tiny_model: Path, settings: Settings, options: ServerOptions) -> Iterator[PredictorProcess]:
    opened = PredictorProcess(files_in(tiny_model), settings, options, PaddleEngine)
    yield opened
    opened.close()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if is_spawned(child, "spawn_main")]


def test_it_answers_as_an_engine_in_this_process_does(
    process: PredictorProcess, tiny_model: Path, settings: Settings
) -> None:
    here = PaddleEngine(files_in(tiny_model), settings)
    assert process.info == here.info
    for channels in ([1], [2, 0, 1], [0] * 40, [2]):  # more room is made, and kept
        batch = solid_batch(*channels)
        np.testing.assert_allclose(process.run(batch), here.run(batch), atol=1e-6)


def test_a_batch_may_come_in_parts(process: PredictorProcess, tiny_model: Path, settings: Settings) -> None:
    here = PaddleEngine(files_in(tiny_model), settings)
    parts = solid_batch(1), solid_batch(2, 0), solid_batch(1)
    wanted = here.run(np.concatenate(parts))
    assert wanted.argmax(axis=1).tolist() == [1, 2, 0, 1]
    np.testing.assert_allclose(process.run(*parts), wanted, atol=1e-6)


def test_there_is_room_for_more_scores_than_an_image_has_numbers(
    tmp_path: Path, settings: Settings, options: ServerOptions
) -> None:
    write_model(tmp_path, brightest_channel(5000), num_classes=5000)
    process = PredictorProcess(files_in(tmp_path), settings, options, PaddleEngine)
    try:
        scores = process.run(solid_batch(1))
    finally:
        process.close()
    assert scores.shape == (1, 5000)
    assert scores.sum() == pytest.approx(1, abs=1e-3)
    assert scores.argmax() == 1


def test_scores_stay_what_they_are_when_others_follow(process: PredictorProcess) -> None:
    first = process.run(solid_batch(2))
    kept = first.copy()
    process.run(solid_batch(0))
    np.testing.assert_array_equal(first, kept)


def test_a_failed_prediction_is_told_and_the_next_one_answered(process: PredictorProcess) -> None:
    with pytest.raises(PredictionError, match=r"the model answered \[1, 5\] to a batch of 1"):
        process.run(np.zeros((1, 2, 32, 32), np.float32))
    assert process.run(solid_batch(2)).argmax() == 2
    assert process.is_alive


def test_a_process_that_dies_is_noticed(process: PredictorProcess) -> None:
    [child] = children()
    child.kill()
    eventually(lambda: child.status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(UnavailableError, match="the model's process has died, with status -9"):
        process.run(solid_batch(0))
    assert not process.is_alive
    with pytest.raises(UnavailableError, match="is being replaced"):
        process.run(solid_batch(0))


def test_a_process_that_hangs_is_ended(process: PredictorProcess) -> None:
    [child] = children()
    child.suspend()
    with pytest.raises(UnavailableError, match="hasn't answered within 1 s"):
        process.run(solid_batch(0))
    assert not children()


def test_what_is_removed_from_shared_memory_outside_changes_no_answer(process: PredictorProcess) -> None:
    """As systemd does it at a user's last logout, with RemoveIPC."""
    assert process.run(solid_batch(1)).argmax() == 1
    [child] = children()
    for mapped in child.memory_maps():
        if mapped.path.startswith("/dev/shm/"):  # noqa: S108  # where it used to be
            Path(mapped.path.removesuffix(" (deleted)")).unlink(missing_ok=True)
    for channels in ([2, 0, 1, 1], [0], [2]):
        assert process.run(solid_batch(*channels)).argmax(axis=1).tolist() == channels


def test_nothing_of_it_is_left_outside_when_both_processes_are_killed(process: PredictorProcess) -> None:
    process.run(solid_batch(1))
    [child] = children()
    paths = {mapped.path for mapped in child.memory_maps() if "batch" in mapped.path or "psm" in mapped.path}
    assert paths == {"/memfd:clas_batch"}


@pytest.mark.parametrize(
    ("channels", "what"),
    [(3, "the shared memory holds -?1, not -7"), (2, "-7, not -1")],
    ids=["scores", "error"],
)
def test_an_answer_to_another_request_is_nobodys_and_ends_the_process(
    process: PredictorProcess, channels: int, what: str
) -> None:
    process._channel.send_array(7, [np.zeros((1, channels, 32, 32), np.float32)])
    assert process._channel._connection.poll(PATIENCE_S)  # the answer to 7 is there before the request
    with pytest.raises(UnavailableError, match=f"has answered something else: {what}"):
        process.run(solid_batch(0))
    assert not process.is_alive
    assert not children()


def test_a_batch_that_is_not_the_one_that_was_sent_ends_the_process(
    process: PredictorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = process._channel._memory
    assert memory is not None
    put = memory.put
    monkeypatch.setattr(memory, "put", lambda number, parts, room: put(number + 1, parts, room))
    with pytest.raises(UnavailableError, match="the model's process has died, with status 1"):
        process.run(solid_batch(0))
    assert not process.is_alive


def test_without_shared_memory_the_answers_are_the_same(
    tiny_model: Path, settings: Settings, options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    process = PredictorProcess(files_in(tiny_model), settings, options, PaddleEngine)
    try:
        for channels in ([1], [2, 0, 1], [2]):
            assert process.run(solid_batch(*channels)).argmax(axis=1).tolist() == channels
        [child] = children()
        child.suspend()
        with pytest.raises(UnavailableError, match="hasn't taken a batch within 1 s"):
            process.run(solid_batch(*[0] * 200))
    finally:
        process.close()
    assert not children()


def test_no_memory_for_a_batch_fails_that_batch_alone(
    process: PredictorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(process._channel, "send_array", fail)
        with pytest.raises(UnavailableError, match="there is no memory for a batch of 3 images"):
            process.run(solid_batch(0, 1, 2))
    assert process.run(solid_batch(2)).argmax() == 2


def test_a_process_that_cannot_be_started_is_a_model_that_cannot_be_loaded(
    tiny_model: Path, settings: Settings, options: ServerOptions
) -> None:
    with no_descriptors(), pytest.raises(ModelLoadError, match="can't be started: Too many open files"):
        PredictorProcess(files_in(tiny_model), settings, options, PaddleEngine)


def test_signals_that_are_meant_for_the_server_do_not_end_it(process: PredictorProcess) -> None:
    [child] = children()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(child.pid, number)
    assert process.run(solid_batch(1)).argmax() == 1


def test_they_do_not_end_it_while_it_is_loading_either(
    tiny_model: Path, settings: Settings, options: ServerOptions, capfd: pytest.CaptureFixture[str]
) -> None:
    is_loaded = threading.Event()

    def interrupt() -> None:
        [child] = eventually(children)
        while not is_loaded.wait(0.02):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                child.send_signal(number)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        process = PredictorProcess(files_in(tiny_model), settings, options, PaddleEngine)
    finally:
        is_loaded.set()
        interrupter.join()
    assert process.run(solid_batch(1)).argmax() == 1
    process.close()
    assert "Traceback" not in capfd.readouterr().err


def test_a_model_that_cannot_be_loaded_says_why(
    tiny_model: Path, tmp_path: Path, settings: Settings, options: ServerOptions
) -> None:
    (tmp_path / "inference.pdmodel").write_bytes((tiny_model / "inference.pdmodel").read_bytes())
    (tmp_path / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(ModelLoadError, match="can't be loaded"):
        PredictorProcess(files_in(tmp_path), settings, options, PaddleEngine)
    assert not children()


def test_a_process_that_dies_while_it_loads_is_a_model_that_cannot_be_loaded(
    tiny_model: Path, settings: Settings, options: ServerOptions
) -> None:
    def kill() -> None:
        [child] = eventually(children)
        child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ModelLoadError, match="can't be loaded: the model's process has died"):
        PredictorProcess(files_in(tiny_model), settings, options, PaddleEngine)
    killer.join()
