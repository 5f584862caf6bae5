import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from clas.engine.paddle import PaddleEngine
from clas.errors import DeviceError, ModelChangedError, ModelLoadError, PredictionError
from clas.model.exported import read_exported_model
from clas.model.files import ModelFiles, find_model
from clas.settings import Settings
from engines import (
    of_size,
    open_engine,
    run_in_fork,
    settings_for,
    wide_batch,
    wrong_answers_in_threads,
)
from tiny_models import logits, solid_batch, write_model


def pixels_in_rows(image: Any) -> Any:
    """A network that takes rows of 3 x 32 x 32 from whatever comes, and fails where that doesn't come out."""
    return paddle.reshape(image, [-1, 3 * 32 * 32])


@pytest.mark.parametrize("mkldnn", [True, False])
@pytest.mark.parametrize("kind", ["tiny_model", "tiny_json_model"])
def test_both_formats_run_with_and_without_mkldnn(
    request: pytest.FixtureRequest, kind: str, mkldnn: bool
) -> None:
    engine = open_engine(request.getfixturevalue(kind), enable_mkldnn=mkldnn)
    assert engine.info.mkldnn is mkldnn
    assert engine.info.num_outputs == 6
    assert engine.info.input_shape == (None, 3, 32, 32)
    scores = engine.run(solid_batch(2, 0))
    assert scores.shape == (2, 6)
    assert scores.argmax(axis=1).tolist() == [2, 0]


@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize("size", [(48, 40), (None, None)])
def test_the_size_of_the_inference_yml_takes_the_place_of_the_programs(
    tmp_path: Path, size: tuple[int | None, int | None], json: bool
) -> None:
    settings = settings_for(write_model(tmp_path, json=json))
    engine = PaddleEngine(of_size(find_model(settings)[0], *size), settings)
    assert engine.info.input_shape == (None, 3, *reversed(size))
    assert engine.info.declared_shape == (None, 3, 32, 32)
    assert engine.run(wide_batch(2, 0, width=48, height=40)).argmax(axis=1).tolist() == [2, 0]


def test_a_program_that_can_not_have_that_size_is_refused_with_both(tmp_path: Path) -> None:
    settings = settings_for(write_model(tmp_path, pixels_in_rows))
    message = r"on images of 48 x 40, as its inference\.yml says \(the program declares 32 x 32\) doesn't run"
    with pytest.raises(ModelLoadError, match=message):
        PaddleEngine(of_size(find_model(settings)[0], 48, 40), settings)


def test_a_forked_process_opens_a_model_of_its_own_with_one_thread(tiny_model: Path) -> None:
    engine = open_engine(tiny_model, cpu_num_threads=2)
    before = engine.paddle

    def in_worker() -> None:
        assert engine.run(solid_batch(1)).argmax() == 1
        assert engine.paddle is not before
        assert engine.info.num_threads == 1

    run_in_fork(in_worker)
    assert engine.run(solid_batch(2)).argmax() == 2
    assert engine.paddle is before
    assert engine.info.num_threads == 2


def test_a_forked_process_opens_the_model_once(tiny_model: Path) -> None:
    engine = open_engine(tiny_model)

    def in_worker() -> None:
        engine.run(solid_batch(1))
        opened = engine.paddle
        engine.run(solid_batch(1))
        assert engine.paddle is opened

    run_in_fork(in_worker)


def test_a_forked_process_refuses_the_gpu(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    engine = open_engine(tiny_model)
    monkeypatch.setattr(engine, "_settings", settings_for(tiny_model, use_gpu=True))

    def in_worker() -> None:
        with pytest.raises(DeviceError, match="use_gpu doesn't go with use_multiprocess"):
            engine.run(solid_batch(1))

    run_in_fork(in_worker)


def turn_around(model: Path) -> None:
    """Have the tiny model tell the darkest channel: its only weight, at the end of the file, becomes -1."""
    weights = model / "inference.pdiparams"
    content = weights.read_bytes()
    assert content.endswith(np.float32(1).tobytes())
    weights.write_bytes(content[:-4] + np.float32(-1).tobytes())


@pytest.mark.parametrize(
    "read",
    [lambda settings: find_model(settings)[0], lambda settings: read_exported_model(settings).programs[0]],
)
def test_a_model_that_was_exchanged_since_the_start_is_refused_after_a_fork(
    tmp_path: Path, read: Callable[[Settings], ModelFiles]
) -> None:
    settings = settings_for(write_model(tmp_path), class_id_map_file="")
    engine = PaddleEngine(read(settings), settings)
    turn_around(tmp_path)

    def in_worker() -> None:
        for _ in range(2):
            with pytest.raises(ModelChangedError, match="the model's files have changed since the start"):
                engine.run(solid_batch(1))

    run_in_fork(in_worker)
    assert engine.run(solid_batch(1)).argmax() == 1


def test_a_model_that_changes_while_it_is_opened_after_a_fork_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(write_model(tmp_path))
    open_predictor = engine._open

    def open_slowly() -> Any:
        turn_around(tmp_path)
        return open_predictor()

    monkeypatch.setattr(engine, "_open", open_slowly)

    def in_worker() -> None:
        with pytest.raises(ModelLoadError, match="the model's files were changed while they were loaded"):
            engine.run(solid_batch(1))

    run_in_fork(in_worker)


def test_threads_get_their_own_answers(tiny_model: Path) -> None:
    assert wrong_answers_in_threads(open_engine(tiny_model)) == []


@pytest.mark.parametrize("name", ["inference.pdiparams", "inference.pdmodel"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.99, 0.999999])
def test_a_truncated_file_is_refused(default_model_dir: Path, tmp_path: Path, name: str, kept: float) -> None:
    for file in default_model_dir.glob("inference.pd*"):
        whole = file.read_bytes()
        (tmp_path / file.name).write_bytes(whole[: int(len(whole) * kept)] if file.name == name else whole)
    with pytest.raises(ModelLoadError) as caught:
        open_engine(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_whose_answers_are_no_scores_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, lambda image: image * 2)
    with pytest.raises(
        ModelLoadError, match=r"is not an image classifier: it answers \[1, 3, 32, 32\] to an input of"
    ):
        open_engine(tmp_path)


def test_a_model_tells_which_output_it_uses_and_what_it_returned_at_the_warm_up(tmp_path: Path) -> None:
    info = open_engine(write_model(tmp_path / "one", logits(6))).info
    assert info.scores
    assert info.scores.highest == pytest.approx(20)  # 10 x the mean of channels of 2
    assert info.scores.highest_sum == pytest.approx(60)
    assert info.scores.lowest <= 0
    assert (info.input_dtype, info.ignored_outputs) == ("float32", ())
    assert info.output_name
    assert info.input_name == "inputs"
    info = open_engine(write_model(tmp_path / "two")).info
    assert info.scores
    assert info.scores.is_distribution


def test_an_input_size_that_the_model_can_not_take_is_refused(tmp_path: Path) -> None:
    def network(image: Any) -> Any:
        return paddle.reshape(image, [-1, 3 * 48 * 48])

    write_model(tmp_path, network, input_shape=(None, 3, None, None))
    with pytest.raises(ModelLoadError, match=r"doesn't run on an input of \[1, 3, 32, 32\]"):
        open_engine(tmp_path, enable_mkldnn=False)
    assert open_engine(tmp_path, crop_size=48, resize_short=48).info.num_outputs == 3 * 48 * 48


needs_bf16 = pytest.mark.skipif(
    not paddle.base.core.supports_bfloat16_fast_performance(), reason="this CPU doesn't compute in bfloat16"
)


@needs_bf16
def test_a_model_that_can_not_run_in_bf16_runs_in_fp32_with_mkldnn(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Paddle 3.3 fails on the mean of the channels of a .pdmodel: it takes the bfloat16 for float32."""
    engine = open_engine(tiny_model, precision="bf16")
    assert (engine.info.precision, engine.info.mkldnn) == ("fp32", True)
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("the model doesn't run in bf16, continuing in fp32: (InvalidArgument)")
    batch = solid_batch(1, 2)
    np.testing.assert_array_equal(engine.run(batch), open_engine(tiny_model).run(batch))


@needs_bf16
def test_what_a_model_has_fallen_back_to_is_kept_after_a_fork(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(tiny_model, precision="bf16")
    caplog.clear()

    def in_worker() -> None:
        assert engine.run(solid_batch(1)).argmax() == 1
        assert (engine.info.precision, engine.info.mkldnn) == ("fp32", True)
        assert "doesn't run" not in caplog.text

    run_in_fork(in_worker)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
def test_a_model_that_mkldnn_can_not_run_goes_on_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, precision: str
) -> None:
    def network(image: Any) -> Any:
        # Paddle 3.3's MKL-DNN has no way to read the list of scales, in the json format.
        doubled = paddle.nn.functional.interpolate(image, scale_factor=[2.0, 2.0], mode="bilinear")
        return doubled.mean([2, 3])

    write_model(tmp_path, network, json=True)
    with caplog.at_level(logging.WARNING, "clas_system"):
        engine = open_engine(tmp_path, precision=precision)
    assert (engine.info.precision, engine.info.mkldnn) == ("fp32", False)
    assert ("doesn't run in bf16, continuing in fp32: (Unimplemented)" in caplog.text) is (
        precision == "bf16"
    )
    assert "doesn't run with MKL-DNN, continuing without it: (Unimplemented)" in caplog.text
    assert engine.run(solid_batch(1)).argmax() == 1


def test_a_model_that_fails_on_a_batch_is_reported_in_one_line(tmp_path: Path) -> None:
    engine = open_engine(write_model(tmp_path, pixels_in_rows, input_shape=(None, 3, None, None)))
    with pytest.raises(
        PredictionError, match=r"the model failed on this batch: \(InvalidArgument\)"
    ) as caught:
        engine.run(np.zeros((1, 3, 31, 31), np.float32))
    assert "\n" not in str(caught.value)
    assert engine.run(np.zeros((2, 3, 32, 32), np.float32)).shape == (2, 3 * 32 * 32)


def test_an_answer_of_another_count_is_refused(tmp_path: Path) -> None:
    engine = open_engine(write_model(tmp_path, pixels_in_rows, input_shape=(None, 3, None, None)))
    with pytest.raises(
        PredictionError, match=r"answered \[4, 3072\] to a batch of 1; \[1, 3072\] was expected"
    ):
        engine.run(np.zeros((1, 3, 64, 64), np.float32))


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, lambda image: image.mean([2, 3]) / (image.mean([2, 3]) * 0))
    engine = open_engine(tmp_path)
    with pytest.raises(PredictionError, match="hold NaN or infinity"):
        engine.run(np.zeros((1, 3, 32, 32), np.float32))


def test_files_that_vanish_are_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with pytest.raises(ModelLoadError, match="No such file"):
        PaddleEngine(ModelFiles(tmp_path / "inference.pdmodel", tmp_path / "inference.pdiparams"), settings)


@needs_bf16
def test_bf16_gives_nearly_the_scores_of_fp32(tiny_json_model: Path) -> None:
    batch = solid_batch(1, 2)
    engines = [open_engine(tiny_json_model, precision=precision) for precision in ("fp32", "bf16")]
    assert [engine.info.precision for engine in engines] == ["fp32", "bf16"]
    scores = [engine.run(batch) for engine in engines]
    np.testing.assert_allclose(scores[1], scores[0], atol=0.02)
