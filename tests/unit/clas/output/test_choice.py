import logging

import pytest

from clas.errors import SettingsError
from clas.output.choice import make_postprocessor
from clas.output.threshold import MultiLabelThreshOutput, ThreshOutput
from clas.output.topk import Topk
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


def test_two_classes_are_not_chosen_from_more_outputs() -> None:
    with pytest.raises(SettingsError, match="which is for two classes; the model has 3"):
        make_postprocessor(Settings(main_indicator="ThreshOutput"), 3, {})
