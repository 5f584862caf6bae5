import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from clas.engine.devices import NO_FORKED_GPU, available_cores
from clas.errors import DeviceError, ModelNotFoundError, NotFoundError, SettingsError
from clas.protocol import MODULE_NAME
from clas.serving.launch import Launch, plan_in_process, plan_launch, share_cores
from clas.serving.models.plan import ModelPlan
from clas.serving.options import ServerOptions
from clas.settings import Settings, load_settings

GIB = 2**30
MODULE: dict[str, Any] = {"init_args": {}, "predict_args": {}}
NO_FOLDER = "modules_info.resnet50 has no init_args.inference_model_dir: it takes the folder of its model"
ANOTHER_MODULE = (
    "-m names resnet50; it takes clas_system, and other models are named by --model resnet50=FOLDER"
)


def launch_of(**flags: object) -> Launch:
    """What is planned for these flags; without `config` and `modules`, for -m clas_system."""
    if "config" not in flags:
        flags.setdefault("modules", ["clas_system"])
    nothing: dict[str, object] = {"config": None, "port": None, "workers": None}
    return plan_launch({"command": "start", **nothing, **flags})


def settings_of(launch: Launch) -> Settings:
    """Those of the default model."""
    return launch.models[MODULE_NAME]


def plan_of(launch: Launch) -> ModelPlan:
    """How a process loads the default model."""
    return launch.plan(settings_of(launch))


def written(directory: Path, content: object) -> str:
    file = directory / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


def launch_of_file(
    directory: Path,
    init_args: object = None,
    predict_args: object = None,
    *,
    flags: Any = None,
    **top: object,
) -> Launch:
    module = {"init_args": init_args or {}, "predict_args": predict_args or {}}
    content = {"modules_info": {"clas_system": module}, **top}
    return launch_of(config=written(directory, content), **(flags or {}))


@pytest.mark.parametrize("flags", [{"modules": ["clas_system"]}, {}])
def test_without_flags_or_with_the_modules_name_one_process_starts_with_the_defaults(
    flags: dict[str, object],
) -> None:
    launch = plan_launch(flags)
    assert launch.options.port == 8866
    assert settings_of(launch) == load_settings({})
    assert (launch.devices, launch.num_workers) == ((), 0)


def test_flags_are_the_options() -> None:
    launch = launch_of(port=9000, timeout_s=5.0, use_multiprocess=True, workers=3)
    assert (launch.options.port, launch.options.timeout_s, launch.num_workers) == (9000, 5, 3)


def test_the_repositorys_own_file_is_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    launch = launch_of(config=str(repository / "config.json"))
    assert (launch.options.port, launch.options.workers, launch.num_workers) == (8866, 2, 0)
    assert (settings_of(launch).use_gpu, settings_of(launch).enable_mkldnn) == (True, False)
    assert launch.devices == ("3",)


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
        launch = launch_of_file(tmp_path, port=9001, flags=flags)
    assert (launch.options.port, launch.options.workers, launch.options.use_multiprocess) == (9001, 0, False)
    assert (settings_of(launch).use_gpu, launch.options.gpu, launch.devices) == (False, "", ())
    ignored = [record.getMessage() for record in caplog.records]
    assert sorted(ignored) == sorted(f"--{name} is ignored: {tmp_path}/config.json wins" for name in flags)


def test_our_own_flags_stand_in_for_what_the_file_does_not_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launch = launch_of_file(tmp_path, timeout_s=7, flags={"timeout_s": 8.0, "batch_wait_ms": 4.0})
    assert (launch.options.timeout_s, launch.options.batch_wait_ms) == (7, 4)
    assert not caplog.records


def test_init_args_are_the_settings_and_predict_args_beat_them(tmp_path: Path) -> None:
    launch = launch_of_file(tmp_path, {"version": "1.0.0", "topk": 3, "crop_size": 200}, {"top_k": 2})
    assert (settings_of(launch).topk, settings_of(launch).crop_size) == (2, 200)
    assert settings_of(launch_of_file(tmp_path, {"topk": 3}, {"top_k": None})).topk == 3
    assert settings_of(launch_of_file(tmp_path, {"topk": 3})).topk == 3
    assert settings_of(launch_of(config=written(tmp_path, {"modules_info": {"clas_system": {}}}))).topk == 5


@pytest.mark.parametrize("modules", [["clas_system"], ["clas_system==1.0.0"]])
def test_the_version_may_be_named(tmp_path: Path, modules: list[str]) -> None:
    assert launch_of(modules=modules) == launch_of_file(tmp_path, {"version": "1.0.0"}) == launch_of()
    assert launch_of_file(tmp_path, {"version": None}) == launch_of()


@pytest.mark.parametrize("number", ["2.0.0", "1.0", 1])
def test_another_version_is_refused(tmp_path: Path, number: object) -> None:
    message = re.escape(f"version is {number!r}; clas_system here has '1.0.0'")
    with pytest.raises(SettingsError, match=message):
        launch_of_file(tmp_path, {"version": number})


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (["clas_system==2.0.0"], "version is '2.0.0'; clas_system here has '1.0.0'"),
        (["resnet50"], ANOTHER_MODULE),
        (["clas_system", "resnet50"], ANOTHER_MODULE),
    ],
)
def test_other_modules_are_refused(modules: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        launch_of(modules=modules)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON: Expecting property name"),
        ("", "is not valid JSON: "),
        ([1], "is not an object"),
        ({}, "has no modules_info"),
        ({"prot": 1}, "has an unknown name 'prot'; did you mean 'port'?"),
        ({"modules_info": MODULE, "max_request_byte": 1}, "did you mean 'max_request_bytes'?"),
        ({"modules_info": []}, "modules_info is []; it takes an object"),
        ({"modules_info": {}}, "modules_info names nothing; it takes 'clas_system', or names of your own"),
        ({"modules_info": {"resnet50": {}}}, NO_FOLDER),
        ({"modules_info": {"clas_system": {}, "resnet50": {}}}, NO_FOLDER),
        ({"modules_info": {"resnet50": {"init_args": {"inference_model_dir": ""}}}}, NO_FOLDER),
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
def test_an_invalid_file_is_refused_with_what_to_do(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        launch_of(config=written(tmp_path, content))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"configuration file {tmp_path}/none can't be read: No such"):
        launch_of(config=str(tmp_path / "none"))
    (tmp_path / "latin").write_bytes(b'"\xe4"')
    with pytest.raises(SettingsError, match=rf"the configuration file {tmp_path}/latin is not valid JSON"):
        launch_of(config=str(tmp_path / "latin"))


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
    launch = launch_of(**flags)
    assert (launch.devices, launch.num_workers) == (devices, num_workers)
    assert settings_of(launch).use_gpu is bool(devices)
    assert plan_of(launch).settings.cpu_num_threads == 0


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
    launch = launch_of_file(tmp_path, init_args, **top)
    assert (settings_of(launch).use_gpu, launch.devices, launch.num_workers) == (True, ("0", "1"), 2)


@pytest.mark.parametrize("gpu", ["", "0", "0,1"])
def test_gpu_and_use_multiprocess_are_refused_with_what_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(SettingsError, match=f"^{re.escape(NO_FORKED_GPU)}; --gpu 0,1 .*a worker for each"):
        launch_of_file(tmp_path, {"use_gpu": True}, gpu=gpu, use_multiprocess=True)
    with pytest.raises(SettingsError, match=f"^{re.escape(NO_FORKED_GPU)}"):
        launch_of(use_gpu=True, gpu=gpu, use_multiprocess=True)


def test_a_gpu_that_is_not_named_or_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(DeviceError, match="use_gpu needs CUDA_VISIBLE_DEVICES"):
        launch_of(use_gpu=True)
    with pytest.raises(DeviceError, match=r"use_gpu needs device numbers in gpu, .* it is 'all'"):
        launch_of(gpu="all")


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_as_a_flag_are_started(workers: int) -> None:
    launch = launch_of(workers=workers)
    assert (launch.options.use_multiprocess, launch.num_workers) == (True, workers)
    assert launch_of(workers=0).num_workers == 0


def test_workers_are_not_started_with_a_gpu(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "clas_system"):
        launch = launch_of(workers=3, gpu="0")
    assert (launch.num_workers, launch.devices) == (0, ("0",))
    assert "--workers is ignored: with use_gpu there is one for each GPU" in caplog.text


@pytest.mark.parametrize("workers", [1, 2, 999])
def test_the_cores_are_divided_among_the_workers(workers: int) -> None:
    launch = launch_of(use_multiprocess=True, workers=workers)
    threads = plan_of(launch).settings.cpu_num_threads or available_cores()  # as the engines read 0
    assert threads == max(1, available_cores() // workers)


def test_threads_that_are_asked_for_are_not_divided(tmp_path: Path) -> None:
    launch = launch_of_file(tmp_path, {"cpu_num_threads": 7}, use_multiprocess=True, workers=2)
    assert (plan_of(launch).settings.cpu_num_threads, launch.num_workers) == (7, 2)
    assert plan_of(launch_of()).settings.cpu_num_threads == 0


def test_max_requests_takes_workers(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it takes use_multiprocess, or several GPUs"):
        launch_of(max_requests=100)
    launch = launch_of_file(tmp_path, max_requests=100, use_multiprocess=True, workers=1)
    assert (launch.options.max_requests, launch.num_workers) == (100, 1)


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
    monkeypatch.setattr("clas.serving.options.available_cores", lambda: cores)
    monkeypatch.setattr("clas.serving.launch.available_cores", lambda: cores)
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: 64 * GIB)
    assert plan_of(launch_of(**flags)).predictor_threads == threads


def test_several_predictors_on_a_gpu_are_refused() -> None:
    with pytest.raises(SettingsError, match="predictors is for the CPU: a GPU has one for each process"):
        launch_of(gpu="0", predictors=2)


@pytest.mark.parametrize(
    ("gib", "threads"),
    [
        (64, (4, 1, 1, 1, 1)),
        (5, (4, 1, 1, 1, 1)),
        (4, (1, 1, 1, 1)),
        (3, (1, 1, 1)),
        (2, (2, 2)),
        (1, (0,)),
        (0.1, (0,)),
    ],
)
def test_by_default_there_are_as_many_predictors_as_fit_into_half_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, gib: float, threads: tuple[int, ...]
) -> None:
    """The wide one is the first that is left out: it is another copy of the model."""
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: int(gib * GIB))
    assert share_cores(ServerOptions(), 4, 0, is_single=True) == threads


def test_predictors_that_are_asked_for_are_not_bounded_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: GIB)
    assert share_cores(ServerOptions(predictors=4), 4, 0, is_single=True) == (4, 1, 1, 1, 1)
    assert share_cores(ServerOptions(predictors=1), 4, 0, is_single=True) == (0,)
    assert share_cores(ServerOptions(predictors=2), 4, 3, is_single=False) == (3, 3)
    assert share_cores(ServerOptions(predictors=2), 1, 0, is_single=True) == (1, 1)  # none is wide


@pytest.mark.parametrize(
    ("cores", "threads"), [(7, (7, 1, 1, 1, 1)), (8, (8, 2, 2, 2, 2)), (16, (16, 4, 4, 4, 4)), (1, (0,))]
)
def test_predictors_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: tuple[int, ...]
) -> None:
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: 64 * GIB)
    assert share_cores(ServerOptions(), cores, 0, is_single=True) == threads


def test_one_of_several_processes_has_one_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: 64 * GIB)
    assert share_cores(ServerOptions(), 4, 0, is_single=False) == (0,)


def test_what_somebody_else_starts_has_no_port_and_no_workers() -> None:
    launch = plan_in_process({"topk": 3, "timeout_s": 5.0, "predictors": 2}, "user_config")
    assert (settings_of(launch).topk, launch.options.timeout_s) == (3, 5)
    assert (launch.num_workers, launch.devices) == (0, ())
    assert len(plan_of(launch).predictor_threads) >= 2
    for name, value in {"port": 80, "workers": 2, "use_multiprocess": True, "gpu": "0", "host": "x"}.items():
        with pytest.raises(SettingsError, match=f"user_config has an unknown name '{name}'"):
            plan_in_process({name: value}, "user_config")


# Several models


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A repository of the folders lily and rose."""
    for name in ("rose", "lily", ".hidden"):
        (tmp_path / "flowers" / name).mkdir(parents=True)
    return tmp_path / "flowers"


def places_of(launch: Launch) -> dict[str, str]:
    """Name of each model -> its folder."""
    return {name: settings.inference_model_dir for name, settings in launch.models.items()}


def test_models_are_named_by_flags() -> None:
    launch = plan_launch({"model": ["rose=/m/rose", "lily=/m/lily"]})
    assert list(places_of(launch).items()) == [("rose", "/m/rose"), ("lily", "/m/lily")]
    assert launch.repository is None


def test_each_model_of_a_file_has_settings_of_its_own_and_flags_are_for_all(tmp_path: Path) -> None:
    rose = {"init_args": {"inference_model_dir": "/m/rose", "topk": 3}}
    lily = {"init_args": {"inference_model_dir": "/m/lily"}, "predict_args": {"top_k": 2}}
    content = {"modules_info": {"rose": rose, "lily": lily, "clas_system": {}}}
    launch = plan_launch({"config": written(tmp_path, content), "topk": 1, "crop_size": 200})
    assert [launch.models[name].topk for name in ("rose", "lily", "clas_system")] == [3, 2, 1]
    assert {settings.crop_size for settings in launch.models.values()} == {200}
    assert launch.models["clas_system"].inference_model_dir == load_settings({}).inference_model_dir


def test_an_invalid_setting_of_one_model_is_refused(tmp_path: Path) -> None:
    rose = {"init_args": {"inference_model_dir": "/m/rose", "top_k": 3}}
    content = {"modules_info": {"clas_system": {}, "rose": rose}}
    with pytest.raises(SettingsError, match=r"init_args has an unknown name 'top_k'; did you mean 'topk'\?"):
        plan_launch({"config": written(tmp_path, content)})


def test_the_models_of_a_repository_are_its_folders(folders: Path) -> None:
    launch = plan_launch({"model_repository": str(folders), "topk": 3})
    assert places_of(launch) == {name: str(folders / name) for name in ("lily", "rose")}
    assert {settings.topk for settings in launch.models.values()} == {3}
    assert launch.repository
    assert list(launch.repository.folders()) == ["lily", "rose"]


def test_a_configured_model_has_the_right_to_its_name(
    folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rose = {"init_args": {"inference_model_dir": "/m/rose"}}
    config = written(tmp_path, {"modules_info": {"rose": rose}, "model_repository": str(folders)})
    with caplog.at_level(logging.WARNING, "clas_system"):
        launch = plan_launch({"config": config})
    assert places_of(launch) == {"rose": "/m/rose", "lily": str(folders / "lily")}
    assert list(launch.models) == ["rose", "lily"]
    assert caplog.messages == [
        "the model 'rose' is configured: its folder in model_repository is passed over"
    ]


def test_a_repository_without_models_is_refused_unless_some_may_come(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    flags: dict[str, object] = {"model_repository": str(tmp_path)}
    with pytest.raises(ModelNotFoundError, match=f"model_repository {tmp_path} has no folder with a model"):
        plan_launch(flags)
    control = {"model_control": True, "admin_token_file": "tokens.txt"}
    for more in ({"watch": 1.0}, control):
        assert plan_launch({**flags, **more}).models == {}
    assert places_of(plan_launch({**flags, "model": ["rose=/m/rose"]})) == {"rose": "/m/rose"}


def test_a_repository_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=f"model_repository {tmp_path}/none can't be read: No such"):
        plan_launch({"model_repository": str(tmp_path / "none"), "watch": 1.0})


def test_a_model_is_planned_from_its_folder_as_it_is_now(folders: Path) -> None:
    launch = plan_launch({"model_repository": str(folders), "model": ["own=/m/own"], "topk": 3})
    assert launch.plan_of("own").settings == launch.models["own"]
    assert launch.plan_of("rose").settings == launch.models["rose"]
    (folders / "iris").mkdir()
    assert launch.plan_of("iris").settings.inference_model_dir == str(folders / "iris")
    assert launch.plan_of("iris").settings.topk == 3
    (folders / "rose").rmdir()
    for name in ("rose", "none", "..", ".hidden"):
        with pytest.raises(NotFoundError, match=f"there is no model {name!r} in the repository"):
            launch.plan_of(name)


def test_without_a_repository_there_are_no_other_models_than_the_configured_ones() -> None:
    launch = plan_launch({"model": ["rose=/m/rose"]})
    assert launch.plan_of("rose") == launch.plan(launch.models["rose"])
    with pytest.raises(NotFoundError, match="there is no model 'lily'"):
        launch.plan_of("lily")


@pytest.mark.parametrize("name", ["rose", "tulip"])
def test_a_configured_model_keeps_its_settings_though_its_folder_is_in_the_repository(
    folders: Path, tmp_path: Path, name: str
) -> None:
    """As when one of them is to answer in another way, or under another name."""
    one = {"init_args": {"inference_model_dir": str(folders / "rose"), "topk": 3}}
    config = written(tmp_path, {"modules_info": {name: one}, "model_repository": str(folders)})
    launch = plan_launch({"config": config})
    assert launch.plan_of(name).settings == launch.models[name]
    assert launch.models[name].topk == 3


@pytest.mark.parametrize(
    ("flags", "devices"),
    [
        ({"use_gpu": True}, ("4", "7")),
        ({"gpu": "7"}, ("7",)),
        ({}, ()),
    ],
)
def test_the_gpu_is_for_all_models(
    monkeypatch: pytest.MonkeyPatch, folders: Path, flags: dict[str, object], devices: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    launch = plan_launch({"model_repository": str(folders), "model": ["own=/m/own"], **flags})
    assert {settings.use_gpu for settings in launch.models.values()} == {bool(devices)}
    assert launch.devices == devices
    assert launch.is_on_gpu is bool(devices)
    (folders / "iris").mkdir()
    assert launch.plan_of("iris").settings.use_gpu is bool(devices)


def test_one_model_on_the_gpu_is_enough_to_need_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    rose = {"init_args": {"inference_model_dir": "/m/rose", "use_gpu": True}}
    launch = plan_launch({"config": written(tmp_path, {"modules_info": {"clas_system": {}, "rose": rose}})})
    assert launch.is_on_gpu
    assert launch.devices == ("0",)
    assert [settings.use_gpu for settings in launch.models.values()] == [False, True]


@pytest.mark.parametrize(
    ("gib", "count", "max_loaded", "threads"),
    [
        (64, 2, 0, (4, 1, 1, 1, 1)),
        (8, 1, 0, (4, 1, 1, 1, 1)),
        (8, 2, 0, (1, 1, 1, 1)),
        (8, 4, 0, (2, 2)),
        (8, 8, 0, (0,)),
        (8, 4, 1, (4, 1, 1, 1, 1)),
        (8, 4, 2, (1, 1, 1, 1)),
        (8, 1, 9, (4, 1, 1, 1, 1)),
    ],
)
def test_the_memory_is_shared_by_as_many_models_as_are_in_it(
    monkeypatch: pytest.MonkeyPatch, gib: int, count: int, max_loaded: int, threads: tuple[int, ...]
) -> None:
    for module in ("options", "launch"):
        monkeypatch.setattr(f"clas.serving.{module}.available_cores", lambda: 4)
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: gib * GIB)
    names = [f"model{number}=/m/{number}" for number in range(count)]
    launch = plan_launch({"model": names, "max_loaded_models": max_loaded})
    plans = [launch.plan(settings) for settings in launch.models.values()]
    assert {plan.predictor_threads for plan in plans} == {threads}


def test_somebody_else_may_start_several_models_too(folders: Path) -> None:
    launch = plan_in_process({"model_repository": str(folders), "max_loaded_models": 1}, "user_config")
    assert list(launch.models) == ["lily", "rose"]
    assert launch.options.max_loaded_models == 1
