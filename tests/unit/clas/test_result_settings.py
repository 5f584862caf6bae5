import re
from pathlib import Path
from typing import Any

import pytest

from clas.errors import SettingsError
from clas.params import PARAMS
from clas.result_settings import RESULT_OPTIONS
from clas.settings import SETTING_NAMES, Settings, load_settings

GROUPS = [{"name": "age", "outputs": [0, 1], "labels": ["young", "old"]}]


def test_every_form_has_its_options_and_these_are_settings() -> None:
    assert set(RESULT_OPTIONS) == set(Settings.__dataclass_fields__["main_indicator"].metadata["choices"])
    assert {name for names in RESULT_OPTIONS.values() for name in names} <= set(SETTING_NAMES)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {"topk": 5, "min_score": 0}),
        ({"main_indicator": "FaceAttribute"}, {"threshold": 0.65, "convert_cn": False}),
        ({"main_indicator": "MultiLabelThreshOutput", "threshold": [0.5, 1]}, {"threshold": [0.5, 1]}),
        ({"main_indicator": "groups", "groups": GROUPS}, {"groups": GROUPS}),
        (
            {"main_indicator": "PersonAttribute", "threshold": 0.4},
            {"threshold": 0.4, "glasses_threshold": 0.3, "hold_threshold": 0.6},
        ),
        ({"main_indicator": "Binarize"}, {"binarize_method": "round", "feature_format": "list"}),
    ],
)
def test_what_a_form_reads_is_told_in_json(settings: dict[str, Any], options: dict[str, object]) -> None:
    assert load_settings(settings).result_options == options


def test_a_threshold_for_each_class_may_stand_in_params_py() -> None:
    section = {**PARAMS["PostProcess"], "main_indicator": "MultiLabelThreshOutput"}
    settings = load_settings({}, {"PostProcess": {**section, "threshold": {"default": 0.5, 3: 0.2}}})
    assert settings.result_options == {"threshold": {"default": 0.5, "3": 0.2}}
    assert hash(settings) == hash(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"main_indicator": "groups"}, "groups is empty, and main_indicator is groups"),
        ({"groups": GROUPS}, "groups is set, and main_indicator is Topk"),
        ({"output_name": "a", "output_names": ["b"]}, "output_name and output_names are both set"),
        (
            {"main_indicator": "ThreshOutput", "threshold": [0.5, 0.5]},
            "threshold has several numbers, and main_indicator is ThreshOutput: that is for Mult",
        ),
        (
            {"main_indicator": "PersonAttribute", "softmax": True},
            "softmax is true, which makes classes exclude each other; main_indicator is PersonAttribute",
        ),
        ({"main_indicator": "PersonAtribute"}, "main_indicator is 'PersonAtribute'; it takes Topk or"),
        ({"decimal_places": 16}, "decimal_places is 16; it takes a number from 0 to 15"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_settings(settings)


def test_the_outputs_that_are_wanted_are_one_or_several() -> None:
    assert Settings().wanted_outputs == ()
    assert Settings(output_name="a").wanted_outputs == ("a",)
    assert load_settings({"output_names": ["a", "b"]}).wanted_outputs == ("a", "b")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_manual_has_each_form_with_its_options(repository: Path, language: str) -> None:
    page = (repository / "docs" / language / "models.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    for form, names in RESULT_OPTIONS.items():
        told = "".join(row for row in rows if f"`{form}`" in row.partition(" | ")[0])
        options = {name for name in names if name != form}
        assert {name for name in options if f"`{name}`" not in told} == set(), form
        assert told, form
