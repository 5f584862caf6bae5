import json
import logging
import shutil
from pathlib import Path

import pytest

from clas.errors import LabelFileError, ModelConfigError, ModelNotFoundError
from clas.model.exported import read_exported_model
from clas.model.label_fit import fit_labels
from clas.settings import PREPROCESS_NAMES, Settings, load_settings
from tiny_models import needs_paddle

CONFIG = """\
PreProcess:
  transform_ops:
  - ResizeImage: {size: [40, 32]}
  - NormalizeImage: {mean: [0, 0, 0], std: [1, 1, 1], scale: 1, order: ''}
  - ToCHWImage:
PostProcess:
  Topk: {topk: 2, label_list: [red, green, blue]}
"""

NO_CROP = """\
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 48}
  - NormalizeImage: {mean: 0, std: 1, scale: 1}
  - ToCHWImage:
"""


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "my_model")


def settings_for(model: Path, **overrides: object) -> Settings:
    return load_settings({"inference_model_dir": str(model), **overrides})


@needs_paddle
def test_without_an_inference_yml_the_settings_stay(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_for(model, class_id_map_file="")
    with caplog.at_level(logging.INFO, "clas_system"):
        read = read_exported_model(settings)
    assert (read.name, read.settings, read.config) == ("my_model", settings, None)
    assert (read.labels, read.label_file) == ({}, None)
    assert read.programs[0].program == model / "inference.pdmodel"
    assert f"model: {model}, format: pdmodel" in caplog.text
    assert "inference.yml" not in caplog.text


def test_what_inference_yml_says_takes_the_settings_place_but_for_what_was_given(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (model / "inference.yml").write_text(CONFIG)
    with caplog.at_level(logging.INFO, "clas_system"):
        read = read_exported_model(settings_for(model, topk=3))
    assert (read.settings.topk, read.settings.resize_size, read.settings.scale) == (3, (40, 32), 1)
    assert read.labels == {0: "red", 1: "green", 2: "blue"}
    assert read.label_file == model / "inference.yml"
    assert "init_args or a flag, in place of inference.yml: topk" in caplog.text


def test_a_model_is_called_as_it_is_said_or_else_as_its_folder(model: Path) -> None:
    names = [read_exported_model(settings_for(model)).name]
    (model / "inference.yml").write_text("Global: {model_name: PP-LCNet_x1_0}")
    names.append(read_exported_model(settings_for(model)).name)
    names.append(read_exported_model(settings_for(model, model_name="Birds")).name)
    assert names == ["my_model", "PP-LCNet_x1_0", "Birds"]


def test_the_preprocessing_is_told_as_json_has_it(model: Path) -> None:
    (model / "inference.yml").write_text(CONFIG)
    preprocess = read_exported_model(settings_for(model)).preprocess
    assert tuple(preprocess) == PREPROCESS_NAMES
    assert (preprocess["resize_size"], preprocess["mean"]) == ([40, 32], [0, 0, 0])


def test_operations_that_are_no_settings_are_told_as_the_file_has_them(model: Path) -> None:
    (model / "inference.yml").write_text(NO_CROP)
    read = read_exported_model(settings_for(model))
    assert read.preprocess == {
        **dict.fromkeys(PREPROCESS_NAMES),
        "transform_ops": [
            {"ResizeImage": {"resize_short": 48, "interpolation": "bilinear", "backend": "cv2"}},
            {"NormalizeImage": {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1, "channel_num": 3}},
        ],
    }
    assert json.loads(json.dumps(read.preprocess)) == read.preprocess


def test_the_engine_is_told_the_size_of_images_where_the_file_says_it(model: Path) -> None:
    assert read_exported_model(settings_for(model, crop_size=48)).programs[0].image_size is None
    (model / "inference.yml").write_text("PostProcess:\n  Topk: {topk: 2}\n")
    assert read_exported_model(settings_for(model)).programs[0].image_size is None
    (model / "inference.yml").write_text(CONFIG)
    assert read_exported_model(settings_for(model)).programs[0].image_size == (40, 32)
    given = settings_for(model, resize_size=[24, 16])
    assert read_exported_model(given).programs[0].image_size == (24, 16)
    (model / "inference.yml").write_text(NO_CROP)
    assert read_exported_model(settings_for(model)).programs[0].image_size == (None, None)


def test_a_model_without_a_file_is_said_to_run_on_assumptions(model: Path) -> None:
    warning = (
        "the model has no inference.yml: that images are preprocessed as for ImageNet (resize_short 256, "
    )
    [found] = read_exported_model(settings_for(model)).warnings
    assert found == f"{warning}crop_size 224) is assumed"
    assert read_exported_model(settings_for(model, topk=3)).warnings == (found,)
    assert not read_exported_model(settings_for(model, resize_short=300)).warnings
    edited = load_settings({"inference_model_dir": str(model)}, {"PreProcess": {"crop_size": 200}})
    assert not read_exported_model(edited).warnings
    (model / "inference.yml").write_text(CONFIG)
    assert not read_exported_model(settings_for(model)).warnings


def test_what_a_file_leaves_out_is_warned_of(model: Path) -> None:
    (model / "inference.yml").write_text(CONFIG.replace("  - ToCHWImage:\n", ""))
    [warning] = read_exported_model(settings_for(model)).warnings
    assert warning == "transform_ops has no ToCHWImage: the axes are in the order that the model takes"


def test_a_deployment_configuration_says_what_an_inference_yml_says(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = "PostProcess:\n  Topk: {topk: 2, class_id_map_file: ../ppcls/utils/mine.txt}\n"
    (model / "mine.txt").write_text("".join(f"{number} name{number}\n" for number in range(6)))
    text = f"Global: {{use_gpu: True, gpu_mem: 8000}}\n{NO_CROP}{labels}"
    (model / "inference_cls.yaml").write_text(text)
    with caplog.at_level(logging.INFO, "clas_system"):
        read = read_exported_model(settings_for(model))
    assert (read.settings.topk, read.settings.use_gpu) == (2, False)
    assert read.labels[3] == "name3"
    assert f"inference_cls.yaml: {model / 'inference_cls.yaml'}, in place of params.py: " in caplog.text
    assert "Global of inference_cls.yaml is passed over (use_gpu, gpu_mem): how a model runs" in caplog.text
    assert "preprocess: transform_ops: [{'ResizeImage': {'resize_short': 48" in caplog.text


def test_the_labels_of_two_classes_are_settings_and_those_of_more_a_file(model: Path) -> None:
    settings = settings_for(
        model, main_indicator="ThreshOutput", label_0="no", label_1="yes", class_id_map_file="nowhere.txt"
    )
    read = read_exported_model(settings)
    assert fit_labels(read, 2) == ({0: "no", 1: "yes"}, "")
    with pytest.raises(LabelFileError, match=r"there is no label file: class_id_map_file is 'nowhere\.txt'"):
        fit_labels(read, 3)
    settings = settings_for(model, main_indicator="ThreshOutput", class_id_map_file="")
    assert fit_labels(read_exported_model(settings), 3) == ({}, "")


def test_a_label_file_of_this_start_beats_the_models(model: Path, tmp_path: Path) -> None:
    (model / "inference.yml").write_text(CONFIG)
    labels = tmp_path / "labels.txt"
    labels.write_text("0 zero\n")
    read = read_exported_model(settings_for(model, class_id_map_file=str(labels)))
    assert (read.labels, read.label_file) == ({0: "zero"}, labels)
    assert not read.has_built_in_labels


def test_only_the_default_label_file_that_nobody_named_is_built_in(model: Path) -> None:
    name = "imagenet1k_label_list.txt"
    assert read_exported_model(settings_for(model)).has_built_in_labels
    assert not read_exported_model(settings_for(model, class_id_map_file=name)).has_built_in_labels
    (model / "inference.yml").write_text(f"PostProcess:\n  Topk: {{topk: 1, class_id_map_file: ../{name}}}\n")
    assert not read_exported_model(settings_for(model)).has_built_in_labels
    (model / "inference.yml").write_text(CONFIG)
    assert not read_exported_model(settings_for(model)).has_built_in_labels
    assert not read_exported_model(settings_for(model, class_id_map_file="")).has_built_in_labels


@needs_paddle
def test_the_folders_own_model_is_used_where_the_settings_is_not_found(model: Path, tmp_path: Path) -> None:
    module_dir = tmp_path / "module"
    shutil.copytree(model, module_dir / "inference")
    read = read_exported_model(load_settings({"class_id_map_file": ""}), module_dir)
    assert read.programs[0].program == module_dir / "inference" / "inference.pdmodel"


def test_what_is_missing_or_invalid_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        read_exported_model(settings_for(tmp_path / "nothing"), tmp_path / "module")
    with pytest.raises(LabelFileError):
        read_exported_model(settings_for(model, class_id_map_file=str(tmp_path / "none.txt")))
    (model / "inference.yml").write_text("PreProcess: [")
    with pytest.raises(ModelConfigError):
        read_exported_model(settings_for(model))
