import json
import re
from pathlib import Path

import pytest
import yaml

from clas.errors import ModelConfigError
from clas.model.config_files import config_paths, find_config

CONTENT = {"PreProcess": {"transform_ops": [{"ResizeImage": {"size": 32}}]}}
ANOTHERS = {"modules_info": {"clas_system": {"init_args": {}}}, "port": 8866}


def put(directory: Path, name: str, content: object = CONTENT) -> Path:
    path = directory / name
    dump = json.dumps if path.suffix == ".json" else yaml.safe_dump
    path.write_text(content if isinstance(content, str) else dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    ["inference.yml", "inference.yaml", "config.json", "inference_cls.yaml", "inference_person_exists.yaml"],
)
def test_each_of_the_names_is_found(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name)
    assert find_config(tmp_path) == (path, CONTENT)
    assert path in config_paths(tmp_path)


def test_inference_yml_comes_first_and_a_deployment_configuration_last(tmp_path: Path) -> None:
    names = ["inference_cls.yaml", "config.json", "inference.yml"]
    for name in names:
        put(tmp_path, name)
        found = find_config(tmp_path)
        assert found
        assert found.path.name == name


@pytest.mark.parametrize("content", [ANOTHERS, [1, 2], "{broken", {"PreProcess": None}])
def test_a_config_json_of_another_program_is_not_the_models(tmp_path: Path, content: object) -> None:
    put(tmp_path, "config.json", content)
    assert find_config(tmp_path) is None
    path = put(tmp_path, "inference_cls.yaml")
    assert find_config(tmp_path) == (path, CONTENT)


def test_a_yaml_of_another_program_is_not_the_models(tmp_path: Path) -> None:
    put(tmp_path, "inference_server.yaml", ANOTHERS)
    assert find_config(tmp_path) is None


def test_of_several_deployment_configurations_none_is_guessed(tmp_path: Path) -> None:
    put(tmp_path, "inference_cls.yaml")
    put(tmp_path, "inference_cls_ch4.yaml")
    message = "has inference_cls.yaml, inference_cls_ch4.yaml: rename the one of this model to inference.yml"
    with pytest.raises(ModelConfigError, match=re.escape(message)):
        find_config(tmp_path)
    path = put(tmp_path, "inference.yml")
    assert find_config(tmp_path) == (path, CONTENT)


def test_a_folder_without_any_has_none(tmp_path: Path) -> None:
    assert find_config(tmp_path) is None
