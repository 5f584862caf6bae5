import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import paddle
import paddle.inference
import pytest

from clas.engine.paddle import Predictor
from clas.engine.paddle_config import build_config, check_gpu
from clas.errors import DeviceError, ModelLoadError, PredictionError
from clas.model.files import ModelFiles, find_model
from clas.settings import Settings, load_settings
from tiny_models import solid_batch, write_model


def settings_for(model: Path, **overrides: object) -> Settings:
    return load_settings(
        {"inference_model_dir": str(model), "crop_size": 32, "resize_short": 32, **overrides}
    )


def open_model(model: Path, **overrides: object) -> Predictor:
    settings = settings_for(model, **overrides)
    return Predictor(find_model(settings), settings)


def config_for(model: Path, **overrides: object) -> paddle.inference.Config:
    settings = settings_for(model, **overrides)
    return build_config(find_model(settings), settings, mkldnn=settings.enable_mkldnn, num_threads=3)


def pixels_in_rows(image: Any) -> Any:
    """A network that takes rows of 3 x 32 x 32 from whatever comes, and fails where that doesn't come out."""
    return paddle.reshape(image, [-1, 3 * 32 * 32])


def run_in_fork(function: Any) -> None:
    """Call `function` in a forked process, and make sure that it came to its end there."""
    gc.collect()  # the executors that wrote the models would crash if they were torn down in the child
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # a deadlock is a failure, too
        try:
            function()
        except BaseException:  # noqa: BLE001  # the child must not go on as a second pytest
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("mkldnn", [True, False])
@pytest.mark.parametrize("kind", ["tiny_model", "tiny_json_model"])
def test_both_formats_run_with_and_without_mkldnn(
    request: pytest.FixtureRequest, kind: str, mkldnn: bool
) -> None:
    predictor = open_model(request.getfixturevalue(kind), enable_mkldnn=mkldnn)
    assert predictor.mkldnn is mkldnn
    assert predictor.num_classes == 6
    assert predictor.input_shape == (None, 3, 32, 32)
    scores = predictor.run(solid_batch(2, 0))
    assert scores.shape == (2, 6)
    assert scores.argmax(axis=1).tolist() == [2, 0]


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
        open_model(tiny_json_model)


class RecordingConfig:
    """Stands in for paddle.inference.Config where a GPU would be needed; notes every call."""

    def __init__(self, *files: str) -> None:
        self.calls: dict[str, tuple[object, ...]] = {"Config": files}

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.__setitem__(name, args)


def recorded(monkeypatch: pytest.MonkeyPatch, model: Path, **overrides: object) -> dict[str, Any]:
    monkeypatch.setattr(paddle.inference, "Config", RecordingConfig)
    config: Any = config_for(model, **overrides)
    return config.calls  # type: ignore[no-any-return]


def test_use_gpu_takes_the_first_visible_device_and_no_mkldnn(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    calls = recorded(monkeypatch, tiny_model, use_gpu=True, gpu_mem=1234, enable_mkldnn=True)
    assert calls["enable_use_gpu"] == (1234, 0)
    assert "enable_mkldnn" not in calls
    assert "disable_mkldnn" in calls
    assert "disable_gpu" not in calls


def test_mkldnns_shape_cache_is_bounded(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    calls = recorded(monkeypatch, tiny_model)
    assert calls["set_mkldnn_cache_capacity"] == (10,)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (None, "use_gpu needs CUDA_VISIBLE_DEVICES: export CUDA_VISIBLE_DEVICES=0"),
        ("", "needs device numbers in CUDA_VISIBLE_DEVICES, such as 0 or 0,1; it is ''"),
        ("all", "it is 'all'"),
        ("0, 1", "it is '0, 1'"),
        ("-1", "it is '-1'"),
    ],
)
def test_use_gpu_without_device_numbers_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, devices: str | None, message: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if devices is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    with pytest.raises(DeviceError, match=message):
        open_model(tiny_model, use_gpu=True)


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


def test_a_forked_process_opens_a_model_of_its_own_with_one_thread(tiny_model: Path) -> None:
    predictor = open_model(tiny_model, cpu_num_threads=2)
    before = predictor.paddle

    def in_worker() -> None:
        assert predictor.run(solid_batch(1)).argmax() == 1
        assert predictor.paddle is not before
        assert predictor.num_threads == 1

    run_in_fork(in_worker)
    assert predictor.run(solid_batch(2)).argmax() == 2
    assert predictor.paddle is before
    assert predictor.num_threads == 2


def test_a_forked_process_opens_the_model_once(tiny_model: Path) -> None:
    predictor = open_model(tiny_model)

    def in_worker() -> None:
        predictor.run(solid_batch(1))
        opened = predictor.paddle
        predictor.run(solid_batch(1))
        assert predictor.paddle is opened

    run_in_fork(in_worker)


def test_a_forked_process_refuses_the_gpu(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    predictor = open_model(tiny_model)
    monkeypatch.setattr(predictor, "_settings", settings_for(tiny_model, use_gpu=True))

    def in_worker() -> None:
        with pytest.raises(DeviceError, match="use_gpu doesn't go with use_multiprocess"):
            predictor.run(solid_batch(1))

    run_in_fork(in_worker)


@pytest.mark.parametrize("kind", ["tiny_model", "tiny_json_model"])
@pytest.mark.parametrize("used", [True, False])
def test_a_forked_process_ends_whether_it_has_used_the_model_or_not(
    request: pytest.FixtureRequest, kind: str, used: bool
) -> None:
    """In a program of its own: it is about what happens when a process that was forked comes to its end."""
    code = f"""
import os, signal, sys, time
import numpy as np, paddlehub
from clas.model.files import find_model
from clas.engine.paddle import Predictor
from clas.settings import load_settings
model = {str(request.getfixturevalue(kind))!r}
settings = load_settings({{"inference_model_dir": model, "cpu_num_threads": 2, "crop_size": 32}})
predictor = Predictor(find_model(settings), settings)
batch = np.zeros((8, 3, 32, 32), np.float32)
predictor.run(batch)
time.sleep(0.5)  # by then OpenMP's threads sleep, too
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        if {used}:
            predictor.run(batch)
        sys.exit(0)
    children.append(pid)
ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
predictor.run(batch)
print(ends)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[0, 0]"


def test_a_lock_held_at_the_fork_does_not_stay_locked(tiny_model: Path) -> None:
    predictor = open_model(tiny_model)
    busy = threading.Event()

    def hold() -> None:
        with predictor.lock:
            busy.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    busy.wait()
    run_in_fork(lambda: predictor.run(solid_batch(1)))
    thread.join()
    assert predictor.run(solid_batch(1)).argmax() == 1


def test_a_model_that_was_exchanged_since_the_start_is_refused_after_a_fork(tmp_path: Path) -> None:
    predictor = open_model(write_model(tmp_path))
    write_model(tmp_path, num_classes=7)

    def in_worker() -> None:
        with pytest.raises(ModelLoadError, match="holds another model than at the start: restart"):
            predictor.ensure_open()

    run_in_fork(in_worker)


def test_threads_get_their_own_answers(tiny_model: Path) -> None:
    predictor = open_model(tiny_model)
    wrong: list[int] = []

    def classify(channel: int) -> None:
        answers = [predictor.run(solid_batch(channel)).argmax() for _ in range(50)]
        wrong.extend(int(answer) for answer in answers if answer != channel)

    threads = [threading.Thread(target=classify, args=(number % 3,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_cores_of_the_process_are_the_default(tiny_model: Path) -> None:
    assert open_model(tiny_model).num_threads == joblib.cpu_count()
    code = "from clas.engine.paddle_config import available_cores; print(available_cores())"
    core = min(os.sched_getaffinity(0))
    counted = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
    )
    assert counted.stdout.strip() == "1"


@pytest.mark.parametrize("name", ["inference.pdiparams", "inference.pdmodel"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.99, 0.999999])
def test_a_truncated_file_is_refused(default_model_dir: Path, tmp_path: Path, name: str, kept: float) -> None:
    for file in default_model_dir.glob("inference.pd*"):
        whole = file.read_bytes()
        (tmp_path / file.name).write_bytes(whole[: int(len(whole) * kept)] if file.name == name else whole)
    with pytest.raises(ModelLoadError) as caught:
        open_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_whose_answers_are_no_scores_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, lambda image: image * 2)
    with pytest.raises(
        ModelLoadError, match=r"is no image classifier: it answers \[1, 3, 32, 32\] to an input of"
    ):
        open_model(tmp_path)


def test_an_input_size_that_the_model_can_not_take_is_refused(tmp_path: Path) -> None:
    def network(image: Any) -> Any:
        return paddle.reshape(image, [-1, 3 * 48 * 48])

    write_model(tmp_path, network, input_shape=(None, 3, None, None))
    with pytest.raises(ModelLoadError, match=r"doesn't run on an input of \[1, 3, 32, 32\]"):
        open_model(tmp_path, enable_mkldnn=False)
    assert open_model(tmp_path, crop_size=48, resize_short=48).num_classes == 3 * 48 * 48


def test_a_model_that_mkldnn_can_not_run_goes_on_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def network(image: Any) -> Any:
        # Paddle 3.3's MKL-DNN has no way to read the list of scales, in the json format.
        doubled = paddle.nn.functional.interpolate(image, scale_factor=[2.0, 2.0], mode="bilinear")
        return doubled.mean([2, 3])

    write_model(tmp_path, network, json=True)
    with caplog.at_level(logging.WARNING, "clas_system"):
        predictor = open_model(tmp_path)
    assert not predictor.mkldnn
    assert "doesn't run with MKL-DNN, going on without it: (Unimplemented)" in caplog.text
    assert predictor.run(solid_batch(1)).argmax() == 1


def test_a_model_that_fails_on_a_batch_is_reported_in_one_line(tmp_path: Path) -> None:
    predictor = open_model(write_model(tmp_path, pixels_in_rows, input_shape=(None, 3, None, None)))
    with pytest.raises(
        PredictionError, match=r"the model failed on this batch: \(InvalidArgument\)"
    ) as caught:
        predictor.run(np.zeros((1, 3, 31, 31), np.float32))
    assert "\n" not in str(caught.value)
    assert predictor.run(np.zeros((2, 3, 32, 32), np.float32)).shape == (2, 3 * 32 * 32)


def test_an_answer_of_another_count_is_refused(tmp_path: Path) -> None:
    predictor = open_model(write_model(tmp_path, pixels_in_rows, input_shape=(None, 3, None, None)))
    with pytest.raises(
        PredictionError, match=r"answered \[4, 3072\] to a batch of 1; \[1, 3072\] was expected"
    ):
        predictor.run(np.zeros((1, 3, 64, 64), np.float32))


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, lambda image: image.mean([2, 3]) / (image.mean([2, 3]) * 0))
    predictor = open_model(tmp_path)
    with pytest.raises(PredictionError, match="hold NaN or infinity"):
        predictor.run(np.zeros((1, 3, 32, 32), np.float32))


def test_files_that_vanish_are_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with pytest.raises(ModelLoadError, match="No such file"):
        Predictor(ModelFiles(tmp_path / "inference.pdmodel", tmp_path / "inference.pdiparams"), settings)


def test_bf16_is_asked_of_paddle_only_with_mkldnn(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    # Paddle's Config tells nobody whether it was asked.
    monkeypatch.setattr(paddle.inference.Config, "enable_mkldnn_bfloat16", lambda _: asked.append(True))
    settings = settings_for(tiny_model, precision="bf16")
    build_config(find_model(settings), settings, mkldnn=False, num_threads=1)
    config_for(tiny_model)
    assert asked == []
    config_for(tiny_model, precision="bf16")
    assert asked == [True]


def test_a_cpu_without_bf16_refuses_it_at_the_start(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paddle.base.core, "supports_bfloat16_fast_performance", lambda: False)
    with pytest.raises(DeviceError, match="this CPU has neither AVX512-BF16 nor AMX: set precision to fp32"):
        open_model(tiny_model, precision="bf16")
    open_model(tiny_model, precision="fp32")


@pytest.mark.parametrize("kind", ["tiny_model", "tiny_json_model"])
def test_bf16_gives_nearly_the_scores_of_fp32(kind: str, request: pytest.FixtureRequest) -> None:
    if not paddle.base.core.supports_bfloat16_fast_performance():
        pytest.skip("this CPU doesn't compute in bfloat16")
    model: Path = request.getfixturevalue(kind)
    batch = solid_batch(1, 2)
    scores = [open_model(model, precision=precision).run(batch) for precision in ("fp32", "bf16")]
    np.testing.assert_allclose(scores[1], scores[0], atol=0.02)
