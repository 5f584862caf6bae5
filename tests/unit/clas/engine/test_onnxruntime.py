import dataclasses
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import onnxruntime
import pytest

from clas.engine.base import Engine
from clas.engine.onnxruntime import OnnxRuntimeEngine
from clas.engine.onnxruntime_session import open_session
from clas.engine.openvino import OpenVINOEngine
from clas.errors import DeviceError, ModelLoadError, PredictionError
from clas.model.files import find_model
from clas.settings import Settings
from engines import of_size, run_in_fork, settings_for, wide_batch, wrong_answers_in_threads
from onnx_models import write_onnx_model, write_onnx_rows
from tiny_models import solid_batch


def open_onnx(model: Path, concurrency: int = 0, **overrides: object) -> OnnxRuntimeEngine:
    settings = settings_for(model, **overrides)
    return OnnxRuntimeEngine(find_model(settings)[0], settings, concurrency)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx_model(tmp_path_factory.mktemp("onnx"))


def test_it_says_what_it_is(model: Path) -> None:
    info = open_onnx(model, cpu_num_threads=2).info
    assert (info.name, info.format, info.device, info.precision) == ("onnxruntime", "onnx", "CPU", "fp32")
    assert (info.input_shape, info.num_outputs, info.output_name) == ((None, 3, 32, 32), 6, "scores")
    assert info.input_name == "inputs"
    assert (info.num_threads, info.concurrency) == (2, 2)


@pytest.mark.parametrize("engine_class", [OnnxRuntimeEngine, OpenVINOEngine])
def test_both_engines_that_read_onnx_answer_alike(model: Path, engine_class: type[Engine]) -> None:
    settings = settings_for(model)
    engine: Engine = engine_class(find_model(settings)[0], settings)  # type: ignore[call-arg]
    scores = engine.run(solid_batch(2, 0, 1))
    logits = np.zeros((3, 6), np.float32)
    logits[[0, 1, 2], [2, 0, 1]] = 10
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(scores - expected).max() < 1e-6


def test_threads_get_their_own_answers(model: Path) -> None:
    assert wrong_answers_in_threads(open_onnx(model, cpu_num_threads=2)) == []


@pytest.mark.parametrize("engine_class", [OnnxRuntimeEngine, OpenVINOEngine])
def test_a_model_of_one_batch_size_gets_it_filled_up(tmp_path: Path, engine_class: type[Engine]) -> None:
    settings = settings_for(write_onnx_model(tmp_path, batch_size=2))
    engine: Engine = engine_class(find_model(settings)[0], settings)  # type: ignore[call-arg]
    assert engine.run(solid_batch(2)).argmax(axis=1).tolist() == [2]


@pytest.mark.parametrize("engine_class", [OnnxRuntimeEngine, OpenVINOEngine])
def test_a_model_that_sorts_its_scores_is_refused(tmp_path: Path, engine_class: type[Engine]) -> None:
    settings = settings_for(write_onnx_model(tmp_path, is_sorted=True))
    with pytest.raises(ModelLoadError, match="sort"):
        engine_class(find_model(settings)[0], settings)  # type: ignore[call-arg]


@pytest.mark.parametrize("engine_class", [OnnxRuntimeEngine, OpenVINOEngine])
def test_the_size_of_the_inference_yml_takes_the_place_of_the_programs(
    model: Path, engine_class: type[Engine]
) -> None:
    settings = settings_for(model)
    files = of_size(find_model(settings)[0], 48, 40)
    engine: Engine = engine_class(files, settings)  # type: ignore[call-arg]
    assert engine.info.input_shape == (None, 3, 40, 48)
    assert engine.info.declared_shape == (None, 3, 32, 32)
    assert engine.run(wide_batch(2, 0, width=48, height=40)).argmax(axis=1).tolist() == [2, 0]
    with pytest.raises(PredictionError):
        engine.run(solid_batch(1))


@pytest.mark.parametrize("engine_class", [OnnxRuntimeEngine, OpenVINOEngine])
def test_images_of_any_size_are_taken_where_the_inference_yml_leaves_it_open(
    model: Path, engine_class: type[Engine]
) -> None:
    settings = settings_for(model)
    files = of_size(find_model(settings)[0], None, None)
    engine: Engine = engine_class(files, settings)  # type: ignore[call-arg]
    assert (engine.info.input_shape, engine.info.declared_shape) == ((None, 3, None, None), (None, 3, 32, 32))
    for width, height in [(48, 40), (40, 48), (32, 32), (64, 32)]:
        assert engine.run(wide_batch(1, width=width, height=height)).argmax() == 1


@pytest.mark.parametrize("engine_class", [OnnxRuntimeEngine, OpenVINOEngine])
def test_a_program_that_can_not_have_that_size_is_refused_with_both(
    tmp_path: Path, engine_class: type[Engine]
) -> None:
    settings = settings_for(write_onnx_rows(tmp_path))
    files = find_model(settings)[0]
    engine: Engine = engine_class(of_size(files, 32, 32), settings)  # type: ignore[call-arg]
    assert engine.info.declared_shape == ()
    message = r"onnx on images of 48 x 40, as its inference\.yml says \(the program declares 32 x 32\)"
    with pytest.raises(ModelLoadError, match=message):
        engine_class(of_size(files, 48, 40), settings)  # type: ignore[call-arg]


def test_images_of_another_size_than_the_models_fail_alone(model: Path) -> None:
    engine = open_onnx(model)
    with pytest.raises(PredictionError, match="the model failed on this batch: "):
        engine.run(solid_batch(0, side=48))
    assert engine.run(solid_batch(0)).argmax() == 0


def test_a_forked_process_opens_a_model_of_its_own_with_one_thread(model: Path) -> None:
    engine = open_onnx(model, cpu_num_threads=2)

    def in_worker() -> None:
        assert engine.run(solid_batch(1, 2)).argmax(axis=1).tolist() == [1, 2]
        assert (engine.info.num_threads, engine.info.concurrency) == (1, 1)

    run_in_fork(in_worker)
    assert engine.run(solid_batch(2)).argmax() == 2


def test_a_damaged_file_is_refused(model: Path, tmp_path: Path) -> None:
    whole = (model / "inference.onnx").read_bytes()
    (tmp_path / "inference.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelLoadError, match=r"inference\.onnx can't be loaded by ONNX Runtime: "):
        open_onnx(tmp_path)


def test_bf16_is_refused(model: Path) -> None:
    with pytest.raises(DeviceError, match="engine onnxruntime doesn't compute in bf16"):
        open_onnx(model, precision="bf16")


def test_a_gpu_that_this_build_does_not_have_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(DeviceError, match="has no CUDAExecutionProvider: install onnxruntime-gpu"):
        open_onnx(model, use_gpu=True)


def test_half_precision_needs_tensorrt(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(DeviceError, match="computes by TensorRT: set use_tensorrt to true"):
        open_onnx(model, use_gpu=True, precision="fp16")


@pytest.mark.parametrize("use_tensorrt", [False, True])
def test_a_gpu_computes_in_full_precision_and_tries_no_algorithms(
    model: Path, monkeypatch: pytest.MonkeyPatch, use_tensorrt: bool
) -> None:
    asked: list[Any] = []

    def session(_: Path, __: object, providers: list[Any]) -> SimpleNamespace:
        asked.extend(providers)
        return SimpleNamespace(get_providers=lambda: [providers[0][0]])

    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    precision = "fp16" if use_tensorrt else "fp32"
    settings = settings_for(model, use_gpu=True, use_tensorrt=use_tensorrt, precision=precision, gpu_mem=100)
    open_session(model / "inference.onnx", settings, 1)
    options = dict(asked[:-1])
    assert options["CUDAExecutionProvider"]["use_tf32"] == 0
    assert options["CUDAExecutionProvider"]["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["CUDAExecutionProvider"]["gpu_mem_limit"] == 100 * 2**20
    assert options.get("TensorrtExecutionProvider", {}).get("trt_fp16_enable", False) is use_tensorrt
    assert asked[-1] == "CPUExecutionProvider"


def test_a_fork_while_a_call_is_counted_hangs_nobody(model: Path) -> None:
    """As when another thread begins with a call: the child gets its lock, and no thread that opens it."""
    engine = open_onnx(model, cpu_num_threads=2)

    def in_worker() -> None:
        signal.alarm(20)
        assert engine.run(solid_batch(1)).argmax() == 1

    with engine._counting:
        run_in_fork(in_worker)
    assert engine.run(solid_batch(2)).argmax() == 2


def test_on_a_gpu_batches_run_one_by_one_and_each_session_has_one_size(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sessions are those of the CPU here: what counts is what they are given, and when."""
    ran: list[tuple[int, int]] = []
    under_way: set[int] = set()
    most = 0

    def session(program: Path, settings: Settings, num_threads: int) -> Any:
        on_cpu = open_session(program, dataclasses.replace(settings, use_gpu=False), num_threads)

        def run(names: object, inputs: Mapping[str, Any]) -> Any:
            nonlocal most
            under_way.add(threading.get_ident())
            most = max(most, len(under_way))
            ran.append((id(on_cpu), len(inputs["inputs"])))
            time.sleep(0.002)
            under_way.remove(threading.get_ident())
            return on_cpu.run(names, inputs)

        watched = Mock(wraps=on_cpu)
        watched.run = run
        return watched

    monkeypatch.setattr("clas.engine.onnxruntime.open_session", session)
    engine = open_onnx(model, use_gpu=True, max_batch_size=8)
    warm = set(ran)
    assert sorted(size for _, size in warm) == [1, 2, 8]
    assert len({number for number, _ in warm}) == 3
    ran.clear()
    classes = [0, 1, 2, 0, 1, 2, 0, 1]
    with ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(lambda count: engine.run(solid_batch(*classes[:count])), range(1, 9))]
    assert set(ran) == warm
    assert sorted(size for _, size in ran) == [1, 2, *6 * [8]]
    assert most == 1
    assert [scores.argmax(axis=1).tolist() for scores in answers] == [classes[:n] for n in range(1, 9)]
