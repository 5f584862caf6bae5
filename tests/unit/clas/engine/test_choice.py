import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from clas.engine.base import EngineClass
from clas.engine.choice import Choice, choose
from clas.errors import DeviceError, ModelLoadError, SettingsError
from clas.model.files import ModelFiles
from clas.settings import Settings

PDMODEL = ModelFiles(Path("/models/mine/inference.pdmodel"), Path("/models/mine/inference.pdiparams"))
ONNX = ModelFiles(Path("/models/mine/inference.onnx"), Path("/models/mine/inference.onnx"))
JSON = ModelFiles(Path("/models/mine/inference.json"), Path("/models/mine/inference.pdiparams"))


def choose_with(
    settings: Settings, programs: Sequence[ModelFiles], failing: dict[str, Exception] | None = None
) -> Choice[str]:
    def open_engine(engine_class: EngineClass, files: ModelFiles) -> str:
        if failing and engine_class.name in failing:
            raise failing[engine_class.name]
        return f"{engine_class.name} {files.format}"

    return choose(settings, programs, open_engine)


@pytest.fixture(autouse=True)
def uninstall(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of libraries that aren't there; all others are."""
    missing: set[str] = set()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else object())
    return missing


def test_auto_takes_openvino_on_a_cpu() -> None:
    choice = choose_with(Settings(), [PDMODEL, JSON])
    assert choice.opened == "openvino pdmodel"
    assert choice.passed_over == {}


def test_auto_takes_paddle_on_a_gpu() -> None:
    assert choose_with(Settings(use_gpu=True), [PDMODEL]).opened == "paddle pdmodel"


def test_auto_passes_over_an_engine_that_is_not_installed_without_a_warning(
    uninstall: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    uninstall.add("openvino")
    choice = choose_with(Settings(), [PDMODEL])
    assert choice.opened == "paddle pdmodel"
    assert choice.passed_over == {"openvino": "openvino isn't installed (pip install openvino)"}
    assert not caplog.records


def test_auto_passes_over_an_engine_that_does_not_read_the_format() -> None:
    choice = choose_with(Settings(), [JSON])
    assert choice.opened == "paddle json"
    assert choice.passed_over == {"openvino": "openvino reads pdmodel and onnx, and there is inference.json"}


@pytest.mark.parametrize("kind", [ModelLoadError, DeviceError])
def test_auto_passes_over_an_engine_that_cannot_run_the_model_with_a_warning(
    caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    failure = kind("/models/mine/inference.pdmodel can't be loaded")
    choice = choose_with(Settings(), [PDMODEL], {"openvino": failure})
    assert choice.opened == "paddle pdmodel"
    assert choice.passed_over == {"openvino": "inference.pdmodel can't be loaded"}  # no path of the machine
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("engine openvino is passed over: /models/mine/inference.pdmodel")


def test_a_setting_that_fits_no_engine_is_not_passed_over() -> None:
    with pytest.raises(SettingsError, match="as a test"):
        choose_with(Settings(), [PDMODEL], {"openvino": SettingsError("as a test")})


def test_the_engine_of_the_settings_is_the_only_one() -> None:
    assert choose_with(Settings(engine="paddle"), [PDMODEL]).opened == "paddle pdmodel"
    with pytest.raises(ModelLoadError, match="as a test"):
        choose_with(Settings(engine="openvino"), [PDMODEL], {"openvino": ModelLoadError("as a test")})


def test_the_last_engines_reason_ends_the_start_if_none_can_run_the_model() -> None:
    failing: dict[str, Exception] = {name: ModelLoadError(name) for name in ("openvino", "paddle")}
    with pytest.raises(ModelLoadError, match="paddle"):
        choose_with(Settings(), [PDMODEL], failing)


def test_an_engine_that_is_not_installed_is_named_with_its_command(uninstall: set[str]) -> None:
    uninstall.update(("openvino", "paddle"))
    with pytest.raises(DeviceError, match=r"paddle isn't installed \(pip install paddlepaddle"):
        choose_with(Settings(), [JSON])
    with pytest.raises(DeviceError, match=r"openvino isn't installed \(pip install openvino\)"):
        choose_with(Settings(engine="openvino"), [PDMODEL])


def test_a_gpu_that_was_asked_for_by_mistake_can_be_left_out(uninstall: set[str]) -> None:
    uninstall.update(("paddle", "onnxruntime"))
    with pytest.raises(
        DeviceError, match=r"Runtime with CUDA .*; on a machine without a GPU, .* leave out --use_gpu"
    ):
        choose_with(Settings(use_gpu=True), [PDMODEL])


def test_inference_json_without_paddle_ends_with_the_two_ways_to_serve_it(uninstall: set[str]) -> None:
    uninstall.update(("paddle", "onnxruntime"))
    with pytest.raises(DeviceError) as failure:
        choose_with(Settings(), [JSON])
    message = str(failure.value)
    assert message.index("paddle isn't installed (pip install paddlepaddle==3.3.1)") < message.index("; or ")
    assert message.endswith("with constraints/convert.txt: python -m clas convert /models/mine")
    assert "install onnxruntime" not in message  # it couldn't read the file either


def test_a_model_that_is_onnx_already_needs_no_conversion(uninstall: set[str]) -> None:
    uninstall.update(("openvino", "paddle", "onnxruntime"))
    with pytest.raises(DeviceError, match=r"\(pip install onnxruntime\)$"):
        choose_with(Settings(), [PDMODEL, ONNX])


@pytest.mark.parametrize(("engine", "count"), [("openvino", 1), ("paddle", 0)])
def test_paddles_settings_are_ignored_by_others_with_one_warning(
    caplog: pytest.LogCaptureFixture, engine: str, count: int
) -> None:
    given = frozenset({"enable_mkldnn", "ir_optim", "engine"})
    choose_with(Settings(engine=engine, overridden=given), [PDMODEL])
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == count
    assert all(text.startswith("enable_mkldnn, ir_optim: ignored, for Paddle only") for text in warnings)
