from pathlib import Path
from typing import Any

import paddle
import paddle.inference
import pytest
from paddle.inference import PrecisionType

from clas.engine.paddle_config import build_config, check_gpu
from clas.errors import DeviceError, ModelLoadError
from clas.model.files import find_model
from engines import open_engine, settings_for


def config_for(model: Path, **overrides: object) -> paddle.inference.Config:
    settings = settings_for(model, **overrides)
    return build_config(find_model(settings)[0], settings, mkldnn=settings.enable_mkldnn, num_threads=3)


def test_the_config_is_fast_by_default(tiny_model: Path) -> None:
    config = config_for(tiny_model)
    assert config.mkldnn_enabled()
    assert config.ir_optim()
    assert config.cpu_math_library_num_threads() == 3
    assert not config.use_gpu()
    assert config.prog_file() == str(tiny_model / "inference.pdmodel")


def test_mkldnn_off_is_really_off(tiny_model: Path) -> None:
    assert not config_for(tiny_model, enable_mkldnn=False).mkldnn_enabled()


def test_ir_optim_can_be_turned_off(tiny_model: Path) -> None:
    assert not config_for(tiny_model, ir_optim=False).ir_optim()


def test_a_json_model_gets_the_new_ir(tiny_json_model: Path) -> None:
    assert config_for(tiny_json_model).new_ir_enabled()


def test_a_json_model_on_a_paddle_before_3_says_what_to_export(
    monkeypatch: pytest.MonkeyPatch, tiny_json_model: Path
) -> None:
    class ConfigBefore3:
        """What Paddle 2.6 has of the calls before this one."""

        def __init__(self, *_: str) -> None:
            self.disable_glog_info = self.disable_gpu = self.enable_mkldnn = lambda: None
            self.set_cpu_math_library_num_threads = self.set_mkldnn_cache_capacity = lambda _: None

    monkeypatch.setattr(paddle.inference, "Config", ConfigBefore3)
    with pytest.raises(ModelLoadError, match=r"needs Paddle 3; export inference\.pdmodel"):
        open_engine(tiny_json_model)


class RecordingConfig:
    """Stands in for paddle.inference.Config where a GPU would be needed; notes every call."""

    def __init__(self, *files: str) -> None:
        self.calls: dict[str, tuple[object, ...]] = {"Config": files}

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self.calls.__setitem__(name, args or named)


def recorded(monkeypatch: pytest.MonkeyPatch, model: Path, **overrides: object) -> dict[str, Any]:
    monkeypatch.setattr(paddle.inference, "Config", RecordingConfig)
    config: Any = config_for(model, **overrides)
    return config.calls  # type: ignore[no-any-return]


def test_use_gpu_takes_the_first_visible_device_and_no_mkldnn(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    calls = recorded(monkeypatch, tiny_model, use_gpu=True, gpu_mem=1234, enable_mkldnn=True)
    assert calls["enable_use_gpu"] == (1234, 0, PrecisionType.Float32)
    assert "enable_tensorrt_engine" not in calls
    assert "enable_mkldnn" not in calls
    assert "disable_mkldnn" in calls
    assert "disable_gpu" not in calls


@pytest.mark.parametrize(
    ("precision", "mode"), [("fp32", PrecisionType.Float32), ("fp16", PrecisionType.Half)]
)
def test_tensorrt_computes_in_the_precision_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, precision: str, mode: Any
) -> None:
    calls = recorded(monkeypatch, tiny_model, use_gpu=True, use_tensorrt=True, precision=precision)
    assert calls["enable_use_gpu"] == (8000, 0, mode)
    assert calls["enable_tensorrt_engine"]["precision_mode"] is mode
    assert calls["enable_tensorrt_engine"]["max_batch_size"] == 32
    assert calls["enable_tensorrt_engine"]["workspace_size"] == 2**30


def test_mkldnns_shape_cache_is_bounded(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    calls = recorded(monkeypatch, tiny_model)
    assert calls["set_mkldnn_cache_capacity"] == (10,)


def test_use_gpu_with_a_paddle_without_cuda_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(DeviceError, match="install paddlepaddle-gpu in place of paddlepaddle"):
        check_gpu()


def test_use_gpu_without_a_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
    with pytest.raises(DeviceError, match="found no GPU with CUDA_VISIBLE_DEVICES=0"):
        check_gpu()
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    check_gpu()


def test_bf16_is_asked_of_paddle_only_with_mkldnn(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    # Paddle's Config tells nobody whether it was asked.
    monkeypatch.setattr(paddle.inference.Config, "enable_mkldnn_bfloat16", lambda _: asked.append(True))
    settings = settings_for(tiny_model, precision="bf16")
    build_config(find_model(settings)[0], settings, mkldnn=False, num_threads=1)
    config_for(tiny_model)
    assert asked == []
    config_for(tiny_model, precision="bf16")
    assert asked == [True]


def test_a_cpu_without_bf16_refuses_it_at_the_start(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paddle.base.core, "supports_bfloat16_fast_performance", lambda: False)
    with pytest.raises(DeviceError, match="this CPU has neither AVX512-BF16 nor AMX: set precision to fp32"):
        open_engine(tiny_model, precision="bf16")
    open_engine(tiny_model, precision="fp32")
