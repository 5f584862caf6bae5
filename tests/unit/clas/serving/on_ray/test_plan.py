from pathlib import Path
from typing import Any

import pytest

from clas.engine.devices import available_cores
from clas.errors import SettingsError
from clas.protocol import MODULE_NAME
from clas.serving.launch import plan_in_process
from clas.serving.models.plan import ModelPlan
from clas.serving.on_ray.plan import plan_model, plan_overview, read_arguments
from clas.serving.options import ServerOptions


class Context:
    """Of a Ray process that has these cores."""

    def __init__(self, cores: float) -> None:
        self._cores = cores

    def get_assigned_resources(self) -> dict[str, float]:
        return {"CPU": self._cores} if self._cores else {}


@pytest.fixture
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    given: float = request.param
    monkeypatch.setattr("ray.get_runtime_context", lambda: Context(given))
    for module in ("on_ray.plan", "on_ray.cores", "launch"):
        monkeypatch.setattr(f"clas.serving.{module}.available_cores", lambda: 8)
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: 64 * 2**30)
    return given


def plan() -> ModelPlan:
    """How a replica loads its model."""
    launch = plan_model("", {})
    return launch.plan(launch.models[MODULE_NAME])


@pytest.mark.parametrize(
    ("cores", "threads", "predictors"),
    [(0.5, 1, (0,)), (1, 1, (0,)), (2, 2, (2, 1, 1)), (8, 8, (8, 2, 2, 2, 2)), (0, 8, (8, 2, 2, 2, 2))],
    indirect=["cores"],
)
def test_a_replica_uses_the_cores_that_ray_has_set_aside(
    cores: float, threads: int, predictors: tuple[int, ...]
) -> None:
    planned = plan()
    assert (planned.settings.cpu_num_threads or 8) == threads, cores  # 0 stands for all of them
    assert planned.predictor_threads == predictors


@pytest.mark.parametrize(
    ("cores", "predictors"),
    [(8, (8, 2, 2, 2, 2)), (4, (1, 1, 1, 1)), (2, (1, 1)), (1, (0,))],
    indirect=["cores"],
)
def test_a_replicas_predictors_take_no_more_memory_than_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: float, predictors: tuple[int, ...]
) -> None:
    """8 GiB have room for 8 of them, in half of it; the other cores may have replicas, too."""
    monkeypatch.setattr("clas.serving.launch.available_memory", lambda: 8 * 2**30)
    assert plan().predictor_threads == predictors, cores


def test_cores_are_those_of_the_process_where_ray_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get_runtime_context", lambda: Context(1000))
    assert (plan().settings.cpu_num_threads or available_cores()) == available_cores()


def test_names_of_settings_and_of_options_are_taken() -> None:
    launch = plan_in_process({"topk": 3, "timeout_s": 5.0, "inference_model_dir": "/model"}, "user_config")
    assert (launch.models[MODULE_NAME].topk, launch.options.timeout_s) == (3, 5.0)
    assert launch.models[MODULE_NAME].inference_model_dir == "/model"
    assert launch.num_workers == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"top_k": 3}, "user_config has an unknown name 'top_k'; did you mean 'topk'"),
        ({"port": 80}, "user_config has an unknown name 'port'"),
        ({"use_multiprocess": True}, "unknown name 'use_multiprocess'"),
        ({"topk": "three"}, "topk is 'three'"),
        ({"use_gpu": 1}, "use_gpu is 1; it takes true or false"),
    ],
)
def test_what_doesnt_fit_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan_in_process(values, "user_config")


@pytest.mark.parametrize("name", ["", MODULE_NAME, "flowers"])
@pytest.mark.parametrize("option", ["model_control", "watch", "admin_token_file"])
def test_models_are_changed_by_the_configuration_alone(name: str, option: str) -> None:
    with pytest.raises(SettingsError, match=f"user_config has an unknown name '{option}'"):
        plan_model(name, {option: 1})


@pytest.mark.parametrize("name", [MODULE_NAME, "flowers"])
@pytest.mark.parametrize("option", ["model_repository", "max_loaded_models"])
def test_the_deployment_of_a_model_has_no_other_one(name: str, option: str) -> None:
    with pytest.raises(SettingsError, match=f"user_config has an unknown name '{option}'"):
        plan_model(name, {option: 1})


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("cores", [1], indirect=True)
def test_the_single_deployment_may_have_the_models_of_a_repository(tmp_path: Path) -> None:
    for folder in ("birds", "fish"):
        (tmp_path / folder).mkdir()
    launch = plan_model("", {"model_repository": str(tmp_path), "max_loaded_models": 1})
    assert list(launch.models) == ["birds", "fish"]


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("cores", [1], indirect=True)
def test_a_model_is_served_under_its_name() -> None:
    launch = plan_model("flowers", {"inference_model_dir": "/models/flowers=1", "topk": 2, "timeout_s": 3.0})
    assert list(launch.models) == ["flowers"]
    assert launch.models["flowers"].inference_model_dir == "/models/flowers=1"
    assert (launch.models["flowers"].topk, launch.options.timeout_s) == (2, 3.0)


def test_a_model_with_a_name_of_its_own_takes_a_folder() -> None:
    with pytest.raises(SettingsError, match="the model flowers has no inference_model_dir"):
        plan_model("flowers", {"topk": 2})


FLOWERS = {"init_args": {"inference_model_dir": "/models/flowers"}, "predict_args": {"top_k": 3}}


def test_arguments_are_those_of_config_json() -> None:
    args = {"modules_info": {"flowers": FLOWERS}, "timeout_s": 5.0, "use_gpu": False}
    given = {"inference_model_dir": "/models/flowers", "topk": 3, "timeout_s": 5.0, "use_gpu": False}
    assert read_arguments(args) == ("flowers", given)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "modules_info in args names nothing"),
        (
            {"modules_info": {"a": FLOWERS, "b": FLOWERS}},
            "modules_info in args names a, b; each model has an",
        ),
        ({"modules_info": {"flowers": {}}}, r"modules_info.flowers has no init_args.inference_model_dir"),
        ({"modules_info": {"a/b": FLOWERS}}, "modules_info names 'a/b'"),
        ({"modules_info": {"a": FLOWERS}, "port": 80}, "args has an unknown name 'port'"),
        ({"modules_info": {"a": FLOWERS}, "watch": 1}, "args has an unknown name 'watch'"),
        (
            {"modules_info": {"a": {"init_args": {"inference_model_dir": "/m", "tok": 1}}}},
            "modules_info.a.init_args has an unknown name 'tok'; did you mean 'topk'",
        ),
    ],
)
def test_arguments_that_dont_fit_are_named(args: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_arguments(args)


def test_an_overview_has_names_and_options_and_no_model() -> None:
    names, launch = plan_overview({"models": ["flowers", "birds"], "timeout_s": 5.0})
    assert names == ["flowers", "birds"]
    assert (launch.models, launch.options) == ({}, ServerOptions(timeout_s=5.0))
    assert plan_overview({})[0] == []


@pytest.mark.parametrize(
    ("user_config", "message"),
    [
        ({"models": "flowers"}, "models is 'flowers'; it takes a list of names"),
        ({"models": [1]}, r"models is \[1\]; it takes a list of names"),
        ({"models": ["a/b"]}, "models names 'a/b'"),
        ({"topk": 1}, "user_config has an unknown name 'topk'"),
        ({"model_control": True}, "user_config has an unknown name 'model_control'"),
    ],
)
def test_an_overview_that_doesnt_fit_is_named(user_config: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan_overview(user_config)
