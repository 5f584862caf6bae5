import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clas.commandline import tune
from clas.commandline.cli import main
from clas.commandline.trial.images import TrialImages
from clas.commandline.trial.runs import Answers, Measurement
from clas.engine.base import EngineInfo
from clas.errors import DeviceError, PredictionError
from clas.settings import Settings
from onnx_models import write_onnx_model
from served import image_file
from tiny_models import write_model

pytest.importorskip("onnxruntime")  # isn't in every environment

pytestmark = pytest.mark.usefixtures("logger_as_it_was")

SCORES = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]
FAILURE = "1.png: the image can't be decoded"
Measure = Callable[[Settings], "Measurement | Exception"]


@pytest.fixture(scope="module")
def both_formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("both")
    write_onnx_model(directory)
    return write_model(directory)


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    for channel in range(2):
        (tmp_path / f"{channel}.png").write_bytes(image_file(channel))
    return [str(tmp_path / f"{channel}.png") for channel in range(2)]


def measured(
    settings: Settings, under_load: float, scores: list[list[float]] | None = None, memory: int | None = 2**28
) -> Measurement:
    info = EngineInfo(
        name=settings.engine,
        version="1.2.3",
        format="onnx",
        input_shape=(None, 3, 32, 32),
        num_outputs=3,
        batch_limit=4,
        concurrency=1,
        device="GPU" if settings.use_gpu else "CPU",
        mkldnn=False,
        precision=settings.precision,
        num_threads=settings.cpu_num_threads or 2,
    )
    answers = Answers(info, np.array(scores or SCORES, np.float32), [FAILURE])
    return Measurement(
        answers=answers,
        images_per_s=10.0,
        p50_ms=100.0,
        images_per_s_under_load=under_load,
        memory_bytes=memory,
    )


@pytest.fixture
def run_tune(
    both_formats: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run `tune` on two cores, with what `measure` says of each engine."""

    def run(measure: Measure, *more: str, load: float = 0.1) -> tuple[int, str, str]:
        def run_in_process(
            _: object, settings: Settings, images: TrialImages, seconds: float, *, limit_s: float
        ) -> Measurement:
            assert limit_s > seconds
            assert images.count > 0
            assert seconds == 0.5
            found = measure(settings)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(tune, "run_in_process", run_in_process)
        monkeypatch.setattr(tune, "available_cores", lambda: 2)
        monkeypatch.setattr(tune, "_load", lambda: load)
        status = main(["tune", "--inference_model_dir", str(both_formats), "--seconds", "0.5", *more])
        return status, *capsys.readouterr()

    return run


def test_all_engines_precisions_and_threads_are_tried(run_tune: Any) -> None:
    status, out, err = run_tune(lambda settings: measured(settings, 20.0), "--format", "json")
    assert status == 0
    assert err == f"WARNING: {FAILURE}\n"
    found = json.loads(out)
    assert [(run["engine"], run["precision"], run["threads"]) for run in found["runs"]] == [
        (engine, precision, threads)
        for engine in ("paddle", "openvino", "onnxruntime")
        for precision in ("fp32", "bf16")
        for threads in (2, 1)
    ]
    assert found["reference"] == "paddle 1.2.3 fp32, threads: 2"
    assert found["generated"] is True
    assert found["runs"][0]["memory_mib"] == 256
    assert found["runs"][0]["agreement"]["same_best"] == 2


def test_the_fastest_that_agrees_is_marked_with_the_settings_to_paste(
    run_tune: Any, images: list[str]
) -> None:
    def measure(settings: Settings) -> Measurement:
        rates = {("openvino", "bf16"): 50.0, ("paddle", "fp32"): 60.0}
        scores = [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1]] if settings.precision == "bf16" else SCORES
        other = [[0.699, 0.2, 0.1], [0.1, 0.8, 0.1]]
        is_wrong = (settings.engine, settings.precision) == ("onnxruntime", "fp32")
        rate = 90.0 if is_wrong else rates.get((settings.engine, settings.precision), 20.0)
        return measured(settings, rate - settings.cpu_num_threads, other if is_wrong else scores)

    status, out, _ = run_tune(measure, *images)
    assert status == 0
    [marked] = [line for line in out.splitlines() if line.startswith("*")]
    assert marked.split()[:5] == ["*", "paddle", "1.2.3", "fp32", "2"]
    assert out.endswith(
        "best: paddle 1.2.3 fp32, threads: 2\n"
        '  init_args: {"engine": "paddle", "precision": "fp32", "enable_mkldnn": true}\n'
        "  flags:     --engine paddle --precision fp32 --enable_mkldnn true\n"
    )
    assert (
        "faster than the best, but its scores don't agree (same best class for 2 of 2 images, largest "
        "difference 0.001; same best class for 2 of the 2 whose best class leads by more than 0.05): "
        "onnxruntime 1.2.3 fp32, threads: 2\n"
    ) in out


def test_bf16_is_the_best_on_images_of_the_users_only(run_tune: Any, images: list[str]) -> None:
    def measure(settings: Settings) -> Measurement:
        rate = 50.0 if (settings.engine, settings.precision) == ("openvino", "bf16") else 20.0
        return measured(settings, rate + settings.cpu_num_threads)

    _, out, _ = run_tune(measure, *images, "--format", "json")
    assert json.loads(out)["best"] == {
        "init_args": {"engine": "openvino", "precision": "bf16", "cpu_num_threads": 1},
        "flags": "--engine openvino --precision bf16 --cpu_num_threads 1",
    }
    _, out, _ = run_tune(measure)
    assert "agreement on generated images is a weak sign: name some of your own\n" in out
    assert (
        "faster than the best, but only images of your own can show whether it agrees: "
        "openvino 1.2.3 bf16, threads: 1\n"
    ) in out
    assert "best: paddle 1.2.3 fp32, threads: 1\n" in out


def test_a_run_that_fails_is_a_line_with_its_reason(run_tune: Any) -> None:
    def measure(settings: Settings) -> Measurement | Exception:
        if settings.precision == "bf16":
            return DeviceError("this CPU has none of it")
        if settings.engine == "paddle":
            return PredictionError("the process that ran it was ended by SIGSEGV")
        return measured(settings, 20.0, [[0.5, 0.5]] if settings.engine == "onnxruntime" else None, None)

    status, out, _ = run_tune(measure)
    assert status == 0
    lines = out.splitlines()
    failed = "  failed: the process that ran it was ended by SIGSEGV"
    assert [line.split()[:3] for line in lines if line.endswith(failed)] == [
        ["paddle", "fp32", "all"],
        ["paddle", "fp32", "1"],
    ]
    assert sum("failed: the scores are [1, 2], those to compare with [2, 3]" in line for line in lines) == 2
    assert lines.count("not measured: openvino bf16: this CPU has none of it") == 1
    assert "best: openvino 1.2.3 fp32, threads: 2" in lines


def test_without_an_engine_that_runs_the_status_is_1(run_tune: Any) -> None:
    status, out, _ = run_tune(lambda _: PredictionError("no"))
    assert status == 1
    assert "best:" not in out


def test_on_a_gpu_half_precision_is_tried_and_threads_are_not(run_tune: Any) -> None:
    status, out, _ = run_tune(
        lambda settings: measured(settings, 20.0), "--use_gpu", "--use_tensorrt", "true", "--format", "json"
    )
    assert status == 0
    found = json.loads(out)
    assert {(run["precision"], run["device"]) for run in found["runs"]} == {("fp32", "GPU"), ("fp16", "GPU")}
    assert len(found["runs"]) == 6
    assert found["best"]["flags"] == "--engine paddle --precision fp32 --use_gpu --use_tensorrt true"


def test_onnx_runtime_computes_in_half_precision_by_tensorrt(run_tune: Any, images: list[str]) -> None:
    def measure(settings: Settings) -> Measurement | Exception:
        assert settings.use_tensorrt is ((settings.engine, settings.precision) == ("onnxruntime", "fp16"))
        return measured(settings, 30.0 if settings.use_tensorrt else 20.0)

    _, out, _ = run_tune(measure, *images, "--use_gpu")
    assert out.endswith("  flags:     --engine onnxruntime --precision fp16 --use_gpu --use_tensorrt true\n")


def test_without_anything_to_measure_there_is_no_table(run_tune: Any) -> None:
    status, out, _ = run_tune(lambda _: DeviceError("this machine has no GPU"), "--use_gpu")
    assert status == 1
    _, _, first, second, *_ = out.splitlines()
    assert first == "no engine could be measured"
    assert second == "not measured: paddle fp32: this machine has no GPU"


def test_a_busy_machine_is_told(run_tune: Any) -> None:
    _, _, err = run_tune(lambda settings: measured(settings, 20.0))
    assert "load" not in err
    _, _, err = run_tune(lambda settings: measured(settings, 20.0), load=3.0)
    assert "WARNING: other programs are at work here: the load is 3.0, on 2 cores\n" in err


def test_engines_that_do_not_read_the_model_are_named_and_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In real processes."""
    monkeypatch.setattr(tune, "available_cores", lambda: 1)
    flags = ["--crop_size", "32", "--resize_short", "32", "--class_id_map_file", "", "--seconds", "0.02"]
    assert main(["tune", "--inference_model_dir", str(write_onnx_model(tmp_path)), *flags]) == 0
    out = capsys.readouterr().out
    assert "not measured: paddle: paddle reads pdmodel and json, and there is inference.onnx\n" in out
    assert "not measured: onnxruntime bf16: engine onnxruntime doesn't compute in bf16: " in out
    table = [line.lstrip("* ").split() for line in out.splitlines() if "fp32   " in line]
    assert [row[0] for row in table] == ["openvino", "onnxruntime"]


def test_a_model_that_is_not_there_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--inference_model_dir", "/nowhere"]) == 1
    assert "CRITICAL: ModelNotFoundError: there is no model" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan", "7200"])
def test_seconds_are_checked(capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--seconds", value])
    assert ended.value.code == 2
    assert f"{value!r} is not a number of seconds up to 3600" in capsys.readouterr().err
