import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clas.engine.openvino import OpenVINOEngine
from clas.engine.paddle import PaddleEngine
from clas.errors import DeviceError, ModelLoadError, PredictionError
from clas.model.files import find_model
from engines import of_size, run_in_fork, settings_for, wide_batch, wrong_answers_in_threads
from onnx_models import write_onnx_model
from tiny_models import needs_paddle, solid_batch, write_model


def open_openvino(model: Path, concurrency: int = 0, **overrides: object) -> OpenVINOEngine:
    settings = settings_for(model, **overrides)
    return OpenVINOEngine(find_model(settings)[0], settings, concurrency)


def test_it_says_what_it_is(tiny_model: Path) -> None:
    info = open_openvino(tiny_model, cpu_num_threads=3).info
    assert (info.name, info.device, info.precision) == ("openvino", "CPU", "fp32")
    assert info.version.count(".") == 2
    assert (info.input_name, info.input_shape, info.num_outputs) == ("inputs", (None, 3, 32, 32), 6)
    assert (info.num_threads, info.concurrency) == (3, 3)


def test_nothing_is_sent_and_nothing_left_in_the_home_directory(tmp_path: Path, repository: Path) -> None:
    """Where openvino-telemetry is installed, too: importing openvino alone would do both."""
    (tmp_path / "openvino_telemetry").mkdir()
    told = tmp_path / "told"
    (tmp_path / "openvino_telemetry" / "__init__.py").write_text(f"open({str(told)!r}, 'w').close()")
    model = write_onnx_model(tmp_path / "model")
    source = f"""
from clas.engine.openvino import OpenVINOEngine
from clas.model.files import find_model
from clas.settings import load_settings
settings = load_settings({{"inference_model_dir": {str(model)!r}, "crop_size": 32, "resize_short": 32}})
OpenVINOEngine(find_model(settings)[0], settings)
import openvino_telemetry
"""
    home = tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": f"{tmp_path}{os.pathsep}{repository}"}
    subprocess.run([sys.executable, "-c", source.rpartition("import")[0]], env=env, check=True)
    assert not told.exists()
    assert not list(home.iterdir())
    subprocess.run([sys.executable, "-c", source], env=env, check=True)  # whoever wants it still gets it
    assert told.exists()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_scores_are_in_the_order_of_the_images(tiny_model: Path, count: int) -> None:
    channels = [number % 3 for number in range(count)]
    scores = open_openvino(tiny_model, cpu_num_threads=2).run(solid_batch(*channels))
    assert scores.shape == (count, 6)
    assert scores.dtype == np.float32
    assert scores.argmax(axis=1).tolist() == channels


@needs_paddle
def test_the_default_model_gives_paddles_scores(default_model_dir: Path) -> None:
    settings = settings_for(default_model_dir, crop_size=224, resize_short=224)
    batch = np.random.default_rng(0).normal(size=(3, 3, 224, 224)).astype(np.float32)
    files = find_model(settings)[0]
    paddles = PaddleEngine(files, settings).run(batch)
    assert np.abs(OpenVINOEngine(files, settings).run(batch) - paddles).max() < 1e-5


def test_read_only_images_are_computed_too(tiny_model: Path) -> None:
    batch = solid_batch(1)
    batch.flags.writeable = False
    assert open_openvino(tiny_model).run(batch).argmax() == 1


def test_a_model_of_one_batch_size_gets_it_filled_up(tmp_path: Path) -> None:
    engine = open_openvino(write_model(tmp_path, input_shape=(2, 3, 32, 32)))
    assert engine.run(solid_batch(0, 1, 2)).argmax(axis=1).tolist() == [0, 1, 2]


def test_a_model_of_any_size_takes_images_of_different_sizes(tmp_path: Path) -> None:
    engine = open_openvino(write_model(tmp_path, input_shape=(None, 3, None, None)))
    assert engine.info.input_shape == (None, 3, None, None)
    for side in (32, 48, 32):
        assert engine.run(solid_batch(2, 0, side=side)).argmax(axis=1).tolist() == [2, 0]


@pytest.mark.parametrize("size", [(48, 40), (None, None)])
def test_the_size_of_the_inference_yml_takes_the_place_of_that_of_a_pdmodel(
    tmp_path: Path, size: tuple[int | None, int | None]
) -> None:
    settings = settings_for(write_model(tmp_path))
    engine = OpenVINOEngine(of_size(find_model(settings)[0], *size), settings)
    assert engine.info.input_shape == (None, 3, *reversed(size))
    assert engine.run(wide_batch(2, 0, width=48, height=40)).argmax(axis=1).tolist() == [2, 0]


def test_threads_get_their_own_answers(tiny_model: Path) -> None:
    assert wrong_answers_in_threads(open_openvino(tiny_model, cpu_num_threads=2)) == []


def test_a_forked_process_opens_a_model_of_its_own_with_one_thread(tiny_model: Path) -> None:
    engine = open_openvino(tiny_model, cpu_num_threads=2)

    def in_worker() -> None:
        assert engine.run(solid_batch(1, 2)).argmax(axis=1).tolist() == [1, 2]
        assert (engine.info.num_threads, engine.info.concurrency) == (1, 1)

    run_in_fork(in_worker)
    assert engine.run(solid_batch(2)).argmax() == 2
    assert engine.info.num_threads == 2


def test_images_of_another_size_than_the_models_fail_alone(tiny_model: Path) -> None:
    engine = open_openvino(tiny_model, cpu_num_threads=2)
    with pytest.raises(PredictionError, match="the model failed on this batch"):
        engine.run(solid_batch(0, 1, 2, side=48))
    for _ in range(3):  # no request is lost
        assert engine.run(solid_batch(0, 1)).argmax(axis=1).tolist() == [0, 1]


def test_the_gpu_is_refused(tiny_model: Path) -> None:
    with pytest.raises(DeviceError, match="engine openvino is for the CPU"):
        open_openvino(tiny_model, use_gpu=True)


@needs_paddle
@pytest.mark.parametrize("name", ["inference.pdiparams", "inference.pdmodel"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.999])
def test_a_truncated_file_is_refused(default_model_dir: Path, tmp_path: Path, name: str, kept: float) -> None:
    for file in default_model_dir.glob("inference.pd*"):
        whole = file.read_bytes()
        (tmp_path / file.name).write_bytes(whole[: int(kept * len(whole))] if file.name == name else whole)
    with pytest.raises(ModelLoadError, match=name.removeprefix("inference")):
        open_openvino(tmp_path)


def test_a_model_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    paddle = pytest.importorskip("paddle")

    def network(image: Any) -> Any:
        return paddle.nn.functional.softmax(image)

    with pytest.raises(ModelLoadError, match="is not an image classifier: it answers"):
        open_openvino(write_model(tmp_path, network))
