import logging
from typing import Any

import pytest

from clas.errors import SettingsError
from clas.output.attributes.face import FaceAttribute
from clas.output.attributes.person import PersonAttribute
from clas.output.attributes.table import TableAttribute
from clas.output.attributes.vehicle import VehicleAttribute
from clas.output.choice import make_postprocessor
from clas.output.features import Binarize, FeatureOutput, NormalizeFeatures
from clas.output.groups import GroupOutput
from clas.output.score import ScoreOutput
from clas.output.threshold import MultiClassThreshOutput, MultiLabelThreshOutput, ThreshOutput
from clas.output.topk import Topk, TopkFromScore
from clas.result_values import Group
from clas.settings import Settings


@pytest.mark.parametrize(
    ("main_indicator", "kind"),
    [("Topk", Topk), ("ThreshOutput", ThreshOutput), ("MultiLabelThreshOutput", MultiLabelThreshOutput)],
)
def test_the_main_indicator_names_the_output(main_indicator: str, kind: type) -> None:
    chosen = make_postprocessor(Settings(main_indicator=main_indicator), 2, {1: "one"})
    assert type(chosen) is kind
    assert (chosen.num_classes, chosen.labels) == (2, {1: "one"})


@pytest.mark.parametrize(("topk", "k"), [(1, 1), (2, 2), (9, 2)])
def test_topk_is_lowered_to_the_models_outputs_with_a_warning(
    topk: int, k: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "clas_system"):
        assert make_postprocessor(Settings(topk=topk), 2, {}).k == k
    assert ("topk is 9, but the model has 2 classes: lowered to that" in caplog.text) is (topk > 2)


@pytest.mark.parametrize(
    ("settings", "num_outputs", "kind"),
    [
        ({"min_score": 0.5}, 3, TopkFromScore),
        ({"main_indicator": "ThreshOutput"}, 1, ThreshOutput),
        ({"main_indicator": "ThreshOutput"}, 3, MultiClassThreshOutput),
        ({"main_indicator": "PersonAttribute"}, 26, PersonAttribute),
        ({"main_indicator": "VehicleAttribute"}, 19, VehicleAttribute),
        ({"main_indicator": "TableAttribute"}, 6, TableAttribute),
        ({"main_indicator": "FaceAttribute"}, 40, FaceAttribute),
        ({"main_indicator": "groups", "groups": (Group("a", (0, 1), ("x", "y")),)}, 2, GroupOutput),
        ({"main_indicator": "ScoreOutput"}, 1, ScoreOutput),
        ({"main_indicator": "features"}, 3, FeatureOutput),
        ({"main_indicator": "NormalizeFeatures"}, 3, NormalizeFeatures),
        ({"main_indicator": "Binarize"}, 16, Binarize),
    ],
)
def test_each_form_has_its_output(settings: dict[str, Any], num_outputs: int, kind: type) -> None:
    assert type(make_postprocessor(Settings(**settings), num_outputs, {})) is kind


@pytest.mark.parametrize(
    ("settings", "num_outputs", "message"),
    [
        (
            {"main_indicator": "PersonAttribute"},
            25,
            "PersonAttribute, which is for 26 outputs; the model has 25",
        ),
        (
            {"main_indicator": "VehicleAttribute"},
            20,
            "VehicleAttribute, which is for 19 outputs; the model has",
        ),
        ({"main_indicator": "TableAttribute"}, 5, "TableAttribute, which is for 6 outputs; the model has 5"),
        ({"main_indicator": "FaceAttribute"}, 39, "FaceAttribute, which is for 40 outputs; the model has 39"),
        ({"main_indicator": "ScoreOutput"}, 2, "ScoreOutput, which is for one output; the model has 2"),
        ({"main_indicator": "Binarize"}, 12, "Binarize, which takes a multiple of 8; the model has 12"),
        (
            {"main_indicator": "groups", "groups": (Group("a", (1, 2), ("x", "y")),)},
            2,
            "group 'a' has output 2; the model has 2 outputs, 0 to 1",
        ),
        (
            {"main_indicator": "MultiLabelThreshOutput", "threshold": [0.5, 0.5]},
            3,
            "threshold has 2 numbers; the model has 3 classes",
        ),
        (
            {"main_indicator": "MultiLabelThreshOutput", "threshold": {"default": 0.5, 3: 0.1}},
            3,
            "threshold has class 3; the model's are 0 to 2",
        ),
    ],
)
def test_a_form_that_does_not_fit_the_model_is_refused(
    settings: dict[str, Any], num_outputs: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        make_postprocessor(Settings(**settings), num_outputs, {})
