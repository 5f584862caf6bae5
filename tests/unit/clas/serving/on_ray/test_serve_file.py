import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from clas.errors import ModelNotFoundError, SettingsError
from clas.serving.on_ray.__main__ import main
from clas.serving.on_ray.app import model
from clas.serving.on_ray.plan import plan_overview, read_arguments
from clas.serving.on_ray.serve_file import make_serve_file

FLOWERS: dict[str, Any] = {
    "init_args": {"inference_model_dir": "/models/flowers"},
    "predict_args": {"top_k": 3},
}
TOKENS = {"token_file": "/etc/tokens"}
BIRDS: dict[str, Any] = {"init_args": {"inference_model_dir": "/models/birds", "use_gpu": True}}


def made(tmp_path: Path, **content: Any) -> dict[str, Any]:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(content))
    return make_serve_file(file).content


def test_each_model_becomes_an_application(tmp_path: Path) -> None:
    content = made(
        tmp_path,
        modules_info={"flowers": FLOWERS, "birds": BIRDS},
        port=9000,
        timeout_s=10,
        **TOKENS,
    )
    schema = ServeDeploySchema.model_validate(content)
    assert (schema.http_options.port, schema.http_options.request_timeout_s) == (9000, 20)
    overview, flowers, birds = schema.applications
    assert [one.route_prefix for one in schema.applications] == ["/", "/predict/flowers", "/predict/birds"]
    names, launch = plan_overview(overview.deployments[0].user_config or {})
    assert (names, launch.options.token_file) == (["flowers", "birds"], "/etc/tokens")
    for application, module in ((flowers, FLOWERS), (birds, BIRDS)):
        name, given = read_arguments(application.args)
        assert name == application.name == application.deployments[0].name
        assert model(application.args)._bound_deployment.name == name
        assert given["inference_model_dir"] == module["init_args"]["inference_model_dir"]
        assert (given["timeout_s"], given["token_file"]) == (10, "/etc/tokens")
    gpus = [one.deployments[0].ray_actor_options.num_gpus for one in (flowers, birds)]
    assert gpus == [0, 1]


def test_a_single_model_takes_all_addresses(tmp_path: Path) -> None:
    [application] = made(tmp_path, modules_info={"flowers": FLOWERS}, use_gpu=True)["applications"]
    assert (application["name"], application["route_prefix"]) == ("flowers", "/")
    assert application["args"]["use_gpu"] is True
    assert application["deployments"][0]["ray_actor_options"]["num_gpus"] == 1


def test_all_may_be_below_a_path(tmp_path: Path) -> None:
    content = made(tmp_path, modules_info={"flowers": FLOWERS, "birds": BIRDS}, root_path="/clas")
    prefixes = ["/clas", "/clas/predict/flowers", "/clas/predict/birds"]
    assert [one["route_prefix"] for one in content["applications"]] == prefixes
    assert content["applications"][0]["deployments"][0]["user_config"]["root_path"] == "/clas"
    assert read_arguments(content["applications"][1]["args"])[1]["root_path"] == "/clas"


def test_each_folder_of_a_repository_becomes_an_application(tmp_path: Path) -> None:
    for name in ("birds", "fish"):
        (tmp_path / "models" / name).mkdir(parents=True)
    repository = str(tmp_path / "models")
    content = made(tmp_path, modules_info={"birds": BIRDS}, model_repository=repository)
    modules = [one["args"]["modules_info"] for one in content["applications"][1:]]
    assert modules == [
        {"birds": BIRDS},
        {"fish": {"init_args": {"inference_model_dir": str(tmp_path / "models" / "fish")}}},
    ]


def test_an_application_keeps_its_name_to_itself(tmp_path: Path) -> None:
    content = made(tmp_path, modules_info={"overview": FLOWERS, "birds": BIRDS})
    assert [one["name"] for one in content["applications"]] == ["overview_", "overview", "birds"]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"modules_info": {"a/b": FLOWERS}}, SettingsError, "modules_info names 'a/b'"),
        ({"modules_info": {"a": {}}}, SettingsError, "modules_info.a has no init_args.inference_model_dir"),
        ({"modules_info": {"a": FLOWERS}, "timeout_s": "x"}, SettingsError, "timeout_s is 'x'"),
        ({"modules_info": {}}, SettingsError, "modules_info names nothing"),
        ({"modules_info": {}, "model_repository": "nowhere"}, ModelNotFoundError, "model_repository nowhere"),
    ],
)
def test_what_the_standalone_server_refuses_is_refused(
    tmp_path: Path, content: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        made(tmp_path, **content)


@pytest.mark.usefixtures("logger_as_it_was")
def test_the_command_prints_the_file_and_says_what_it_leaves_out(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(repository / "config.json")]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("# ")
    ServeDeploySchema.model_validate(yaml.safe_load(shown.out))
    assert shown.err == "WARNING: left out, since Ray has its own: use_multiprocess, workers\n"


@pytest.mark.usefixtures("logger_as_it_was")
def test_the_command_ends_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing.json")]) == 1
    assert "can't be read" in capsys.readouterr().err
