import sys
from pathlib import Path

import numpy as np
import pytest

from clas.commandline.trial.images import TrialImages
from clas.commandline.trial.runs import ENGINES, answers_of, measure, peak_memory
from clas.errors import DeviceError, RequestError
from clas.settings import Settings, load_settings
from onnx_models import write_onnx_model
from served import image_file
from tiny_models import write_model


@pytest.fixture(scope="module")
def both_formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("both")
    write_onnx_model(directory)
    return write_model(directory)


def settings_for(directory: Path, **more: object) -> Settings:
    sizes = {"resize_short": 32, "crop_size": 32, "class_id_map_file": ""}
    return load_settings({"inference_model_dir": str(directory), **sizes, **more})


def test_all_engines_answer_alike(both_formats: Path) -> None:
    images = TrialImages((), 6)
    answers = [answers_of(settings_for(both_formats, engine=each.name), images) for each in ENGINES]
    assert [found.info.name for found in answers] == ["paddle", "openvino", "onnxruntime"]
    assert answers[0].scores.shape == (6, 6)
    for found in answers[1:]:
        np.testing.assert_allclose(found.scores, answers[0].scores, atol=1e-6)


@pytest.mark.parametrize("engine", [each.name for each in ENGINES])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_engine_is_measured_alone_and_under_load(both_formats: Path, engine: str, threads: int) -> None:
    settings = settings_for(both_formats, engine=engine, cpu_num_threads=threads)
    found = measure(settings, TrialImages((), 3), 0.02)
    assert found.answers.info.num_threads == threads
    assert found.answers.scores.shape == (3, 6)
    assert found.images_per_s > 0
    assert found.images_per_s_under_load > 0
    assert found.p50_ms > 0


def test_what_would_run_in_another_precision_is_not_measured(both_formats: Path) -> None:
    """Paddle can't run this .pdmodel in bf16, and a service falls back to fp32."""
    paddle = pytest.importorskip("paddle")
    if not paddle.base.core.supports_bfloat16_fast_performance():
        pytest.skip("this CPU doesn't compute in bfloat16")
    with pytest.raises(DeviceError, match="the model doesn't run in bf16 with paddle"):
        measure(settings_for(both_formats, engine="paddle", precision="bf16"), TrialImages((), 1), 0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_the_peak_is_that_of_this_process() -> None:
    before = peak_memory()
    assert before is not None
    held = np.ones(max(before, 64 * 2**20), np.uint8)
    after = peak_memory()
    assert after is not None
    assert after >= before + len(held) // 4


def test_without_any_image_there_is_nothing_to_measure(both_formats: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_text("no image")
    (tmp_path / "1.png").write_bytes(image_file(1)[:40])
    images = TrialImages([tmp_path / "0.png", tmp_path / "1.png"], 2)
    with pytest.raises(RequestError, match="none of the images can be decoded"):
        measure(settings_for(both_formats), images, 0.01)
    with pytest.raises(RequestError, match=r"none of the images can be decoded: .*0\.png: the image can't"):
        answers_of(settings_for(both_formats), images)


def test_what_an_engine_does_not_have_is_an_error(both_formats: Path) -> None:
    with pytest.raises(DeviceError, match="engine onnxruntime doesn't compute in bf16"):
        measure(settings_for(both_formats, engine="onnxruntime", precision="bf16"), TrialImages((), 1), 0.01)
