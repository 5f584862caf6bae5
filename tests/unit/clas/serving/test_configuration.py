import json
import logging
from pathlib import Path
from typing import Any

import pytest

from clas.errors import SettingsError
from clas.serving.configuration import check_name, is_name, read_configuration

FOLDER = "inference_model_dir"


def written(directory: Path, content: object) -> str:
    file = directory / "config.json"
    file.write_text(json.dumps(content))
    return str(file)


def modules_of(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The models with what is given to each, in their order."""
    _, modules = read_configuration(flags)
    return dict(modules)


def module(folder: str = "/m/rose", **more: object) -> dict[str, Any]:
    return {"init_args": {FOLDER: folder}, **more}


# Names


@pytest.mark.parametrize("name", ["a", "clas_system", "ResNet50-v1.5_x", "0", "-", "...", "x" * 64])
def test_letters_digits_and_some_marks_are_a_name(name: str) -> None:
    assert is_name(name)
    check_name(name, "--model")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "a\\b", "a?", "a%20", "röse", "模型", "a\n", "a\0", "x" * 65]
)
def test_what_would_not_be_one_part_of_an_address_is_none(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(SettingsError) as caught:
        check_name(name, "--model")
    assert str(caught.value).startswith("--model names ")
    assert "the name of a model has 1 to 64 letters, digits, _, . and -" in str(caught.value)
    assert len(str(caught.value)) < 200


# Flags


def test_without_flags_the_default_model_is_served() -> None:
    assert read_configuration({}) == ({}, {"clas_system": {}})
    assert modules_of({"modules": ["clas_system"]}) == {"clas_system": {}}


def test_each_model_that_is_named_is_served_and_no_other_one() -> None:
    given, modules = read_configuration({"model": ["rose=/m/rose", "lily=../lily"], "port": 80})
    assert list(modules.items()) == [("rose", {FOLDER: "/m/rose"}), ("lily", {FOLDER: "../lily"})]
    assert given["port"] == 80


def test_the_default_model_may_be_among_them() -> None:
    assert list(modules_of({"modules": ["clas_system"], "model": ["rose=/m/rose"]})) == [
        "clas_system",
        "rose",
    ]
    assert modules_of({"model": ["clas_system=/m/own"]}) == {"clas_system": {FOLDER: "/m/own"}}


def test_a_folder_may_have_an_equals_sign() -> None:
    assert modules_of({"model": ["rose=/m/a=b"]}) == {"rose": {FOLDER: "/m/a=b"}}


def test_with_a_repository_no_model_is_implied() -> None:
    assert modules_of({"model_repository": "/m"}) == {}
    assert list(modules_of({"model_repository": "/m", "model": ["rose=/rose"]})) == ["rose"]
    assert list(modules_of({"model_repository": "/m", "modules": ["clas_system"]})) == ["clas_system"]
    assert list(modules_of({"model_repository": ""})) == ["clas_system"]


@pytest.mark.parametrize("text", ["rose", "rose=", "", "/m/rose", f"{'x' * 5000}"])
def test_a_model_without_a_folder_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--model is '.*'?; it takes NAME=FOLDER$") as caught:
        modules_of({"model": [text]})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["=/m/rose", "..=/m/rose", "a/b=/m/rose", "a b=/m/rose"])
def test_a_folder_without_a_proper_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--model names '.*'; the name of a model has 1 to 64"):
        modules_of({"model": [text]})


def test_a_name_stands_for_one_folder() -> None:
    with pytest.raises(SettingsError, match=r"^--model names 'rose' twice$"):
        modules_of({"model": ["rose=/m/1", "lily=/m/2", "rose=/m/1"]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rose", "-m names rose; it takes clas_system, and other models are named by --model rose=FOLDER"),
        ("clas_system==2.0.0", "version is '2.0.0'; clas_system here has '1.0.0'"),
    ],
)
def test_the_flag_of_paddlehub_takes_its_module_alone(text: str, message: str) -> None:
    assert modules_of({"modules": ["clas_system==1.0.0"]}) == {"clas_system": {}}
    with pytest.raises(SettingsError) as caught:
        modules_of({"modules": ["clas_system", text]})
    assert str(caught.value) == message


# The file


def test_the_file_names_models_with_what_is_given_to_each(tmp_path: Path) -> None:
    rose = {"init_args": {FOLDER: "/m/rose", "topk": 3, "version": "1.0.0"}, "predict_args": {"top_k": 2}}
    content = {"modules_info": {"clas_system": {}, "rose": rose, "lily": module("/m/lily")}, "port": 80}
    given, modules = read_configuration({"config": written(tmp_path, content)})
    assert list(modules.items()) == [
        ("clas_system", {}),
        ("rose", {FOLDER: "/m/rose", "topk": 2}),
        ("lily", {FOLDER: "/m/lily"}),
    ]
    assert given == {"port": 80}


def test_models_that_are_flags_join_those_of_the_file_which_wins(tmp_path: Path) -> None:
    config = written(tmp_path, {"modules_info": {"rose": module("/m/rose")}})
    modules = modules_of({"config": config, "model": ["lily=/m/lily", "rose=/m/other"]})
    assert list(modules.items()) == [("rose", {FOLDER: "/m/rose"}), ("lily", {FOLDER: "/m/lily"})]
    assert list(modules_of({"config": written(tmp_path, {"modules_info": {}}), "model": ["a=/a"]})) == ["a"]


@pytest.mark.parametrize(
    "content", [{"model_repository": "/m"}, {"modules_info": {}, "model_repository": "/m"}]
)
def test_a_file_with_a_repository_needs_no_modules(tmp_path: Path, content: dict[str, Any]) -> None:
    given, modules = read_configuration({"config": written(tmp_path, content)})
    assert (given, modules) == ({"model_repository": "/m"}, {})


def test_nothing_to_serve_is_refused(tmp_path: Path) -> None:
    for content, message in (
        ({}, "has no modules_info"),
        ({"model_repository": ""}, "has no modules_info"),
        ({"modules_info": {}}, "modules_info names nothing; it takes 'clas_system', or names of your own"),
    ):
        with pytest.raises(SettingsError, match=message):
            modules_of({"config": written(tmp_path, content)})


def test_paddlehubs_flags_beside_a_file_are_ignored_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = written(tmp_path, {"modules_info": {"rose": module()}})
    flags = {"config": config, "modules": ["lily"], "port": 80, "use_gpu": True, "gpu": "0", "timeout_s": 5.0}
    with caplog.at_level(logging.WARNING, "clas_system"):
        given, modules = read_configuration(flags)
    assert (given, list(modules)) == ({"timeout_s": 5.0}, ["rose"])
    ignored = ("modules", "port", "use_gpu", "gpu")
    assert caplog.messages == [f"--{name} is ignored: {config} wins" for name in ignored]


@pytest.mark.parametrize(
    ("modules_info", "message"),
    [
        ({"a/b": module()}, "modules_info names 'a/b'; the name of a model has 1 to 64 letters"),
        ({"": module()}, "modules_info names ''; the name of a model has 1 to 64 letters"),
        (
            {"rose": {"predict_args": {}}},
            "modules_info.rose has no init_args.inference_model_dir: it takes the folder of its model",
        ),
        ({"rose": module("")}, "modules_info.rose has no init_args.inference_model_dir"),
        ({"rose": "/m/rose"}, "modules_info.rose is '/m/rose'; it takes an object"),
        ({"rose": module(init_arg={})}, "modules_info.rose has an unknown name 'init_arg'; did you mean"),
        ({"rose": module(predict_args={"topk": 1})}, "predict_args has an unknown name 'topk'; did you mean"),
        (
            {"rose": {"init_args": {FOLDER: "/m", "version": "3"}}},
            "version is '3'; clas_system here has '1.0.0'",
        ),
    ],
)
def test_an_invalid_model_of_a_file_is_named(
    tmp_path: Path, modules_info: dict[str, Any], message: str
) -> None:
    config = written(tmp_path, {"modules_info": {"lily": module("/m/lily"), **modules_info}})
    with pytest.raises(SettingsError) as caught:
        modules_of({"config": config})
    assert message in str(caught.value)
