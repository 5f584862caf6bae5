import argparse
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from clas.engine.paddle_config import NO_FORKED_GPU, available_cores
from clas.errors import DeviceError, SettingsError
from clas.serving.launch import Plan, make_plan
from clas.settings import load_settings

MODULE: dict[str, Any] = {"init_args": {}, "predict_args": {}}


def plan_of(**flags: object) -> Plan:
    """What is planned for these flags; without `config` and `modules`, for -m clas_system."""
    if "config" not in flags:
        flags.setdefault("modules", ["clas_system"])
    nothing: dict[str, object] = {"config": None, "modules": None, "port": None, "workers": None}
    return make_plan(argparse.Namespace(command="start", **{**nothing, **flags}))


def written(directory: Path, content: object) -> str:
    file = directory / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


def plan_of_file(
    directory: Path,
    init_args: object = None,
    predict_args: object = None,
    *,
    flags: Any = None,
    **top: object,
) -> Plan:
    module = {"init_args": init_args or {}, "predict_args": predict_args or {}}
    content = {"modules_info": {"clas_system": module}, **top}
    return plan_of(config=written(directory, content), **(flags or {}))


def test_the_modules_name_alone_starts_one_process_with_the_defaults() -> None:
    plan = plan_of()
    assert plan.options.port == 8866
    assert plan.settings == load_settings({})
    assert (plan.devices, plan.num_workers) == ((), 0)


def test_flags_are_the_options() -> None:
    plan = plan_of(port=9000, timeout_s=5.0, use_multiprocess=True, workers=3)
    assert (plan.options.port, plan.options.timeout_s, plan.num_workers) == (9000, 5, 3)


def test_the_repositorys_own_file_is_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    plan = plan_of(config=str(repository / "config.json"))
    assert (plan.options.port, plan.options.workers, plan.num_workers) == (8866, 2, 0)
    assert (plan.settings.use_gpu, plan.settings.enable_mkldnn, plan.devices) == (True, False, ("3",))


def test_the_file_wins_over_hubs_flags_even_where_it_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {
        "port": 9000,
        "workers": 7,
        "use_multiprocess": True,
        "use_gpu": True,
        "gpu": "1",
        "modules": ["another"],
    }
    with caplog.at_level(logging.WARNING, "clas_system"):
        plan = plan_of_file(tmp_path, port=9001, flags=flags)
    assert (plan.options.port, plan.options.workers, plan.options.use_multiprocess) == (9001, 0, False)
    assert (plan.settings.use_gpu, plan.options.gpu, plan.devices) == (False, "", ())
    ignored = [record.getMessage() for record in caplog.records]
    assert sorted(ignored) == sorted(f"--{name} is ignored: {tmp_path}/config.json wins" for name in flags)


def test_our_own_flags_stand_in_for_what_the_file_does_not_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = plan_of_file(tmp_path, timeout_s=7, flags={"timeout_s": 8.0, "batch_wait_ms": 4.0})
    assert (plan.options.timeout_s, plan.options.batch_wait_ms) == (7, 4)
    assert not caplog.records


def test_init_args_are_the_settings_and_predict_args_beat_them(tmp_path: Path) -> None:
    plan = plan_of_file(tmp_path, {"version": "1.0.0", "topk": 3, "crop_size": 200}, {"top_k": 2})
    assert (plan.settings.topk, plan.settings.crop_size) == (2, 200)
    assert plan_of_file(tmp_path, {"topk": 3}, {"top_k": None}).settings.topk == 3
    assert plan_of_file(tmp_path, {"topk": 3}).settings.topk == 3
    assert plan_of(config=written(tmp_path, {"modules_info": {"clas_system": {}}})).settings.topk == 5


@pytest.mark.parametrize("modules", [["clas_system"], ["clas_system==1.0.0"]])
def test_the_version_may_be_named(tmp_path: Path, modules: list[str]) -> None:
    assert plan_of(modules=modules) == plan_of_file(tmp_path, {"version": "1.0.0"}) == plan_of()
    assert plan_of_file(tmp_path, {"version": None}) == plan_of()


@pytest.mark.parametrize("number", ["2.0.0", "1.0", 1])
def test_another_version_is_refused(tmp_path: Path, number: object) -> None:
    message = re.escape(f"version is {number!r}; clas_system here has '1.0.0'")
    with pytest.raises(SettingsError, match=message):
        plan_of_file(tmp_path, {"version": number})


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (["clas_system==2.0.0"], "version is '2.0.0'; clas_system here has '1.0.0'"),
        (["resnet50"], "-m names resnet50; this server has clas_system only"),
        (["clas_system", "resnet50"], "-m names clas_system resnet50; this server has clas_system only"),
        (None, "start takes -c config.json or -m clas_system"),
        ([], "start takes -c config.json or -m clas_system"),
    ],
)
def test_other_modules_are_refused(modules: list[str] | None, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        plan_of(modules=modules)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON: Expecting property name"),
        ("", "is no JSON: "),
        ([1], "holds no object"),
        ({}, "has no modules_info"),
        ({"prot": 1}, "has an unknown name 'prot'; did you mean 'port'?"),
        ({"modules_info": MODULE, "max_request_byte": 1}, "did you mean 'max_request_bytes'?"),
        ({"modules_info": []}, "modules_info is []; it takes an object"),
        ({"modules_info": {}}, "modules_info names nothing; it takes 'clas_system'"),
        ({"modules_info": {"resnet50": {}}}, "modules_info names 'resnet50'; it takes 'clas_system'"),
        (
            {"modules_info": {"clas_system": {}, "resnet50": {}}},
            "modules_info names 'clas_system', 'resnet50'; it takes 'clas_system'",
        ),
        ({"modules_info": {"clas_system": 5}}, "modules_info.clas_system is 5; it takes an object"),
        (
            {"modules_info": {"clas_system": {"init_arg": {}}}},
            "modules_info.clas_system has an unknown name 'init_arg'; did you mean 'init_args'?",
        ),
        ({"modules_info": {"clas_system": {"init_args": [1]}}}, "init_args is [1]; it takes an object"),
        ({"modules_info": {"clas_system": {"predict_args": 1}}}, "predict_args is 1; it takes an object"),
        (
            {"modules_info": {"clas_system": {"init_args": {"top_k": 1}}}},
            "init_args has an unknown name 'top_k'; did you mean 'topk'?",
        ),
        (
            {"modules_info": {"clas_system": {"predict_args": {"topk": 1}}}},
            "predict_args has an unknown name 'topk'; did you mean 'top_k'?",
        ),
        (
            {"modules_info": {"clas_system": {"predict_args": {"top_k": "two"}}}},
            "topk is 'two'; it takes a whole number",
        ),
        ({"modules_info": {"clas_system": MODULE}, "port": "8866"}, "port is '8866'; it takes a whole"),
        ({"modules_info": {"clas_system": MODULE}, "use_gpu": 1}, "use_gpu is 1; it takes true or false"),
        (
            {"modules_info": {"clas_system": {"init_args": {"use_gpu": "yes"}}}},
            "use_gpu is 'yes'; it takes true or false",
        ),
        (
            {"modules_info": {"clas_system": {"init_args": {"use_gpu": False}}}, "use_gpu": True},
            "use_gpu is true at the top level, but false in init_args; say it once",
        ),
    ],
)
def test_an_unfit_file_is_refused_with_what_to_do(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        plan_of(config=written(tmp_path, content))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"configuration file {tmp_path}/none can't be read: No such"):
        plan_of(config=str(tmp_path / "none"))
    (tmp_path / "latin").write_bytes(b'"\xe4"')
    with pytest.raises(SettingsError, match=rf"the configuration file {tmp_path}/latin is no JSON"):
        plan_of(config=str(tmp_path / "latin"))


@pytest.mark.parametrize(
    ("flags", "environment", "devices", "num_workers"),
    [
        ({}, "0,1", (), 0),  # the GPU isn't asked for
        ({"use_gpu": True}, "2", ("2",), 0),
        ({"use_gpu": True}, "4,7", ("4", "7"), 2),
        ({"use_gpu": True, "gpu": "1"}, "4,7", ("1",), 0),
        ({"gpu": "0,1,2"}, None, ("0", "1", "2"), 3),
    ],
)
def test_each_gpu_that_is_named_gets_a_worker(
    monkeypatch: pytest.MonkeyPatch,
    flags: dict[str, object],
    environment: str | None,
    devices: tuple[str, ...],
    num_workers: int,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if environment is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", environment)
    plan = plan_of(**flags)
    assert (plan.devices, plan.num_workers) == (devices, num_workers)
    assert plan.settings.use_gpu is bool(devices)
    assert plan.settings.cpu_num_threads == 0


@pytest.mark.parametrize(
    ("init_args", "top"),
    [
        ({"use_gpu": True}, {"gpu": "0,1"}),
        ({}, {"gpu": "0,1", "use_gpu": True}),
        ({"use_gpu": True}, {"gpu": "0,1", "use_gpu": True}),
    ],
)
def test_the_file_names_gpus_too(
    tmp_path: Path, init_args: dict[str, object], top: dict[str, object]
) -> None:
    plan = plan_of_file(tmp_path, init_args, **top)
    assert (plan.settings.use_gpu, plan.devices, plan.num_workers) == (True, ("0", "1"), 2)


@pytest.mark.parametrize("gpu", ["", "0", "0,1"])
def test_gpu_and_use_multiprocess_are_refused_with_what_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(SettingsError, match=f"^{re.escape(NO_FORKED_GPU)}; --gpu 0,1 .*a worker for each"):
        plan_of_file(tmp_path, {"use_gpu": True}, gpu=gpu, use_multiprocess=True)
    with pytest.raises(SettingsError, match=f"^{re.escape(NO_FORKED_GPU)}"):
        plan_of(use_gpu=True, gpu=gpu, use_multiprocess=True)


def test_a_gpu_that_is_not_named_or_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(DeviceError, match="use_gpu needs CUDA_VISIBLE_DEVICES"):
        plan_of(use_gpu=True)
    with pytest.raises(DeviceError, match=r"use_gpu needs device numbers in gpu, .* it is 'all'"):
        plan_of(gpu="all")


@pytest.mark.parametrize("workers", [1, 2, 999])
def test_the_cores_are_divided_among_the_workers(workers: int) -> None:
    plan = plan_of(use_multiprocess=True, workers=workers)
    assert plan.settings.cpu_num_threads == max(1, available_cores() // workers)


def test_threads_that_are_asked_for_are_not_divided(tmp_path: Path) -> None:
    plan = plan_of_file(tmp_path, {"cpu_num_threads": 7}, use_multiprocess=True, workers=2)
    assert (plan.settings.cpu_num_threads, plan.num_workers) == (7, 2)
    assert plan_of().settings.cpu_num_threads == 0


def test_max_requests_takes_workers(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it takes use_multiprocess, or several GPUs"):
        plan_of(max_requests=100)
    plan = plan_of_file(tmp_path, max_requests=100, use_multiprocess=True, workers=1)
    assert (plan.options.max_requests, plan.num_workers) == (100, 1)


@pytest.mark.parametrize(
    ("cores", "flags", "threads"),
    [
        (1, {}, (0,)),
        (2, {}, (2, 1, 1)),
        (16, {}, (16, 4, 4, 4, 4)),
        (16, {"predictors": 1}, (0,)),
        (16, {"predictors": 8}, (16, *[2] * 8)),
        (2, {"predictors": 3}, (2, 1, 1, 1)),
        (16, {"cpu_num_threads": 3}, (0,)),
        (16, {"cpu_num_threads": 3, "predictors": 2}, (3, 3)),
        (16, {"use_multiprocess": True, "workers": 4}, (0,)),
        (16, {"use_multiprocess": True, "workers": 4, "predictors": 2}, (4, 2, 2)),
        (16, {"gpu": "0"}, (0,)),
    ],
)
def test_the_cores_are_divided_among_the_predictors(
    monkeypatch: pytest.MonkeyPatch, cores: int, flags: dict[str, object], threads: tuple[int, ...]
) -> None:
    for module in ("options", "launch"):
        monkeypatch.setattr(f"clas.serving.{module}.available_cores", lambda: cores)
    assert plan_of(**flags).predictor_threads == threads


def test_several_predictors_on_a_gpu_are_refused() -> None:
    with pytest.raises(SettingsError, match="predictors is for the CPU: a GPU has one for each process"):
        plan_of(gpu="0", predictors=2)
