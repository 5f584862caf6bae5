import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from clas.errors import ModelConfigError
from clas.model.exported import read_exported_model
from clas.model.postprocess import read_postprocess
from clas.model.transform_ops import InvalidEntryError
from clas.settings import Settings, load_settings
from tiny_models import write_model

GROUPS = [{"name": "age", "outputs": [0, 1], "labels": ["young", "old"]}]
PERSON = {"PersonAttribute": {"threshold": 0.4, "glasses_threshold": 0.2, "hold_threshold": 0.7}}
SAVE = {"SavePreLabel": {"save_dir": "./pre_label/"}}


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (PERSON, {"main_indicator": "PersonAttribute", **PERSON["PersonAttribute"]}),
        (
            {"main_indicator": "VehicleAttribute", "VehicleAttribute": {"color_threshold": 0.4}},
            {"main_indicator": "VehicleAttribute", "color_threshold": 0.4},
        ),
        (
            {"TableAttribute": {"source_threshold": 0.4, "angle_threshold": 0.3}},
            {"main_indicator": "TableAttribute", "source_threshold": 0.4, "angle_threshold": 0.3},
        ),
        ({"FaceAttribute": {"convert_cn": True}}, {"main_indicator": "FaceAttribute", "convert_cn": True}),
        ({"groups": GROUPS}, {"main_indicator": "groups", "groups": GROUPS}),
        ({"ScoreOutput": {"decimal_places": 2}}, {"main_indicator": "ScoreOutput", "decimal_places": 2}),
        ({"NormalizeFeatures": None}, {"main_indicator": "NormalizeFeatures"}),
        ({"Binarize": {"method": "sign"}}, {"main_indicator": "Binarize", "binarize_method": "sign"}),
        ({"Topk": {"topk": 2, "min_score": 0.3}}, {"main_indicator": "Topk", "topk": 2, "min_score": 0.3}),
        (
            {
                "ThreshOutput": {
                    "threshold": 0.5,
                    "default_label_index": 2,
                    "class_id_map_file": "a.txt",
                    "delimiter": "\t",
                }
            },
            {
                "main_indicator": "ThreshOutput",
                "threshold": 0.5,
                "default_label_index": 2,
                "class_id_map_file": "a.txt",
            },
        ),
        (
            {"MultiLabelThreshOutput": {"threshold": {"default": 0.5, 3: 0.2}}, **SAVE},
            {"main_indicator": "MultiLabelThreshOutput", "threshold": {"default": 0.5, 3: 0.2}},
        ),
    ],
)
def test_each_form_is_read_with_its_options(section: dict[str, Any], values: dict[str, object]) -> None:
    assert read_postprocess(section) == (values, {})


def test_what_only_copies_images_is_passed_over_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "clas_system"):
        assert read_postprocess(SAVE) == ({}, {})
    assert "PostProcess.SavePreLabel is passed over" in caplog.text


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"ScoreOutput": {"decimals": 2}}, "ScoreOutput has an option 'decimals', which is not supported"),
        ({"NormalizeFeatures": {"delimiter": " "}}, "NormalizeFeatures has an option 'delimiter'"),
        ({"PersonAttribute": 5}, "PersonAttribute is 5; it takes an object"),
        ({"Binarize": {"binarize_method": "sign"}}, "Binarize has an option 'binarize_method'"),
    ],
)
def test_an_option_that_a_form_does_not_have_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEntryError, match=message):
        read_postprocess(section)


def exported(directory: Path, section: object, **given: object) -> Any:
    write_model(directory)
    (directory / "inference.yml").write_text(yaml.safe_dump({"PostProcess": section}, allow_unicode=True))
    return read_exported_model(load_settings({"inference_model_dir": str(directory), **given}))


def test_a_form_given_for_this_start_beats_the_files_whose_options_are_not_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "clas_system"):
        settings: Settings = exported(
            tmp_path, {**PERSON, "main_indicator": "PersonAttribute"}, main_indicator="MultiLabelThreshOutput"
        ).settings
    assert (settings.main_indicator, settings.one_threshold) == ("MultiLabelThreshOutput", 0.5)
    assert "init_args or a flag, in place of inference.yml: main_indicator" in caplog.text


def test_a_form_given_for_this_start_has_the_options_that_the_file_has_for_it(tmp_path: Path) -> None:
    section = {"main_indicator": "Topk", "Topk": {"topk": 2}, "MultiLabelThreshOutput": {"threshold": 0.8}}
    model = exported(tmp_path, section, main_indicator="MultiLabelThreshOutput")
    assert (model.settings.one_threshold, model.settings.topk) == (0.8, 5)


def test_a_form_given_for_this_start_beats_one_that_is_not_supported(tmp_path: Path) -> None:
    section = {"main_indicator": "Rotate", "Rotate": None}
    assert exported(tmp_path, section, main_indicator="Topk").settings.main_indicator == "Topk"
    with pytest.raises(ModelConfigError, match="PostProcess has 'Rotate', which is not supported"):
        exported(tmp_path, section)


def test_a_form_given_for_this_start_keeps_the_names_of_the_models_classes(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    model = exported(tmp_path, {"Topk": {"label_list": names}}, main_indicator="MultiLabelThreshOutput")
    assert model.labels == dict(enumerate(names))


def test_a_foreign_path_of_labels_is_looked_up_by_its_name_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "phone_label_list.txt").write_text("".join(f"{number} n{number}\n" for number in range(6)))
    section = {
        "main_indicator": "Topk",
        "Topk": {"topk": 2, "class_id_map_file": "../dataset/data/phone_label_list.txt"},
        **SAVE,
    }
    model = exported(tmp_path, section)
    assert (model.labels[5], model.settings.topk) == ("n5", 2)
