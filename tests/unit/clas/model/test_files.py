import os
from pathlib import Path

import pytest

from clas.errors import LabelFileError, ModelNotFoundError
from clas.model.files import find_label_file, find_model
from clas.settings import load_settings


@pytest.fixture
def start_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "project" / "deploy"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def module_dir(tmp_path: Path) -> Path:
    return tmp_path / "modules" / "clas_system"


def put_model(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True)
    for name in names or ("inference.pdmodel", "inference.pdiparams"):
        (directory / name).touch()
    return directory


def test_a_relative_directory_starts_where_the_service_is_started(start_dir: Path, module_dir: Path) -> None:
    model = put_model(start_dir.parent / "inference")
    put_model(module_dir / "inference")
    assert find_model(load_settings({}), module_dir)[0].program == model / "inference.pdmodel"


def test_the_modules_own_model_stands_in_when_nothing_is_there(start_dir: Path, module_dir: Path) -> None:
    model = put_model(module_dir / "inference")
    assert find_model(load_settings({}), module_dir)[0].weights == model / "inference.pdiparams"
    assert start_dir.is_dir()


def test_a_directory_given_for_this_start_has_no_stand_in(start_dir: Path, module_dir: Path) -> None:
    put_model(module_dir / "inference")
    settings = load_settings({"inference_model_dir": "mine"})
    with pytest.raises(ModelNotFoundError, match=f"tried {start_dir / 'mine'}; put"):
        find_model(settings, module_dir)[0]


def test_a_directory_given_for_this_start_beats_all_others(start_dir: Path, module_dir: Path) -> None:
    put_model(module_dir / "inference")
    put_model(start_dir.parent / "inference")
    mine = put_model(start_dir / "mine")
    settings = load_settings({"inference_model_dir": "mine"})
    assert find_model(settings, module_dir)[0].program == mine / "inference.pdmodel"


def test_an_absolute_directory_has_no_stand_in(tmp_path: Path, module_dir: Path) -> None:
    put_model(module_dir / "inference")
    settings = load_settings({}, {"Global": {"inference_model_dir": str(tmp_path / "nowhere")}})
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        find_model(settings, module_dir)[0]


def test_the_error_names_every_place_tried_and_the_remedy(start_dir: Path, module_dir: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(load_settings({}), module_dir)[0]
    message = str(caught.value)
    assert str(start_dir / "../inference") in message
    assert str(module_dir / "inference") in message
    assert "put inference.pdmodel (or inference.json) and inference.pdiparams there" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("present", "missing"),
    [("inference.pdmodel", "inference.pdiparams"), ("inference.pdiparams", "inference.pdmodel or")],
)
def test_a_directory_without_both_files_is_an_error_even_if_another_model_is_there(
    start_dir: Path, module_dir: Path, present: str, missing: str
) -> None:
    put_model(start_dir.parent / "inference", present)
    put_model(module_dir / "inference")
    with pytest.raises(ModelNotFoundError, match=f"holds no file {missing}"):
        find_model(load_settings({}), module_dir)[0]


def test_the_json_format_is_found_and_pdmodel_is_preferred(start_dir: Path) -> None:
    model = put_model(start_dir / "m", "inference.json", "inference.pdiparams")
    settings = load_settings({"inference_model_dir": "m"})
    assert find_model(settings)[0].is_json
    (model / "inference.pdmodel").touch()
    assert not find_model(settings)[0].is_json


@pytest.mark.parametrize("stem", ["inference_int8", "model"])
def test_other_names_are_taken_where_there_is_nothing_else(start_dir: Path, stem: str) -> None:
    model = put_model(start_dir / "m", f"{stem}.pdmodel", f"{stem}.pdiparams", f"{stem}.json")
    settings = load_settings({"inference_model_dir": "m"})
    found = find_model(settings)
    assert [files.program.name for files in found] == [f"{stem}.pdmodel", f"{stem}.json"]
    assert {files.weights.name for files in found} == {f"{stem}.pdiparams"}
    assert [files.format for files in found] == ["pdmodel", "json"]
    (model / "inference.pdmodel").touch()
    with pytest.raises(ModelNotFoundError, match=r"holds no file inference\.pdiparams"):
        find_model(settings)
    (model / "inference.onnx").touch()
    assert [files.format for files in find_model(settings)] == ["onnx"]


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (
            ["__model__", "__params__"],
            "rename __model__ to inference.pdmodel and __params__ to inference.pdiparams",
        ),
        (["__model__", "conv_weights"], "it has __model__ with its weights in several files: load it with"),
    ],
)
def test_a_model_of_paddle_1_is_refused_with_what_to_do(
    start_dir: Path, names: list[str], remedy: str
) -> None:
    put_model(start_dir / "m", *names)
    with pytest.raises(ModelNotFoundError, match=f"holds no file inference.pdmodel or .*; {remedy}"):
        find_model(load_settings({"inference_model_dir": "m"}))


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (
            ["resnet.pdmodel", "resnet.pdiparams"],
            "rename resnet.pdmodel to inference.pdmodel and resnet.pdip",
        ),
        (["resnet.json", "resnet.pdiparams"], "rename resnet.json to inference.json and resnet.pdiparams to"),
        (["inference.pdmodel", "w.pdiparams"], "rename w.pdiparams to inference.pdiparams"),
        (["model.onnx", "labels.txt"], "rename model.onnx to inference.onnx"),
        (["best_model.pdparams", "best_model.pdopt"], "best_model.pdparams is a checkpoint of the training"),
        (["a.onnx", "b.onnx"], "it has a.onnx, b.onnx; put "),
        (
            [f"{number}.jpg" for number in range(7)],
            "it has 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more; put ",
        ),
    ],
)
def test_what_is_there_in_place_of_a_model_is_told_with_what_to_do(
    start_dir: Path, names: list[str], remedy: str
) -> None:
    put_model(start_dir / "m", *names)
    with pytest.raises(ModelNotFoundError, match=f"holds no file .*; {remedy}"):
        find_model(load_settings({"inference_model_dir": "m"}))


def test_an_empty_folder_and_one_around_the_model_are_told(start_dir: Path) -> None:
    (start_dir / "m").mkdir()
    with pytest.raises(
        ModelNotFoundError, match=r"it is empty; put .* --inference_model_dir, or .* make onnx"
    ):
        find_model(load_settings({"inference_model_dir": "m"}))
    inner = put_model(start_dir / "m" / "exported")
    with pytest.raises(
        ModelNotFoundError, match=f"the model is in exported: .* --inference_model_dir {inner}$"
    ):
        find_model(load_settings({"inference_model_dir": "m"}))


def test_a_file_in_place_of_its_folder_is_refused_with_the_folder(start_dir: Path) -> None:
    model = put_model(start_dir / "m")
    message = f"{model}/inference.pdmodel is a file: name its folder, {model}$"
    with pytest.raises(ModelNotFoundError, match=message):
        find_model(load_settings({"inference_model_dir": "m/inference.pdmodel"}))


def test_the_label_file_is_looked_for_at_the_start_then_in_the_module(
    start_dir: Path, module_dir: Path
) -> None:
    module_dir.mkdir(parents=True)
    settings = load_settings({"class_id_map_file": "labels.txt"})
    with pytest.raises(LabelFileError, match=r"tried .*deploy/labels\.txt, .*clas_system/labels\.txt"):
        find_label_file(settings, module_dir)
    (module_dir / "labels.txt").touch()
    assert find_label_file(settings, module_dir) == module_dir / "labels.txt"
    (start_dir / "labels.txt").touch()
    assert find_label_file(settings, module_dir) == start_dir / "labels.txt"


@pytest.mark.parametrize("path", ["x" * 5000, "x\0y", "forbidden/model"])
def test_a_path_that_can_not_be_looked_up_is_one_of_our_errors(
    start_dir: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stat = os.stat

    def stat_as_a_user(file: Path, **flags: bool) -> os.stat_result:  # root may look into every folder
        if "forbidden" in str(file):
            raise PermissionError(13, "Permission denied", str(file))
        return stat(file, **flags)

    monkeypatch.setattr(os, "stat", stat_as_a_user)
    assert start_dir.is_dir()
    with pytest.raises(ModelNotFoundError, match=r"inference_model_dir|there is no model"):
        find_model(load_settings({"inference_model_dir": path}))[0]
    with pytest.raises(LabelFileError, match=r"class_id_map_file|there is no label file"):
        find_label_file(load_settings({"class_id_map_file": path}))


@pytest.mark.parametrize("name", ["", None])
def test_no_label_file_may_be_wanted(name: str | None) -> None:
    assert find_label_file(load_settings({"class_id_map_file": name})) is None
