import re

import numpy as np
import pytest

from clas.errors import RequestError, SettingsError
from clas.output.threshold import MultiLabelThreshOutput, ThreshOutput

LABELS = {0: "nobody", 1: "someone"}
SEVERAL = np.array([[0.7, 0.1, 0.9], [0.2, 0.1, 0.3], [0.8, 0.8, 0.7]], np.float32)


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_a_two_class_model_says_yes_from_the_threshold_on(num_outputs: int) -> None:
    yes = np.array([[0.7], [0.6999], [0.9], [0.0]], np.float32)
    scores = np.concatenate([1 - yes, yes], axis=1)[:, -num_outputs:]
    assert ThreshOutput(num_outputs, 0.7, LABELS)(scores, 1) == [
        {"class_ids": [1], "scores": [0.7], "label_names": ["someone"]},
        {"class_ids": [0], "scores": [0.3001], "label_names": ["nobody"]},
        {"class_ids": [1], "scores": [0.9], "label_names": ["someone"]},
        {"class_ids": [0], "scores": [1.0], "label_names": ["nobody"]},
    ]


def test_a_two_class_output_does_not_fit_more_classes() -> None:
    with pytest.raises(
        SettingsError, match="main_indicator is ThreshOutput, which is for two classes; the model has 3"
    ):
        ThreshOutput(3, 0.5, LABELS)


def test_all_labels_from_the_threshold_on_are_kept_best_first() -> None:
    output = MultiLabelThreshOutput(3, 0.7, {0: "hat", 1: "bag", 2: "coat"})
    assert output(SEVERAL, output.check(None)) == [
        {"class_ids": [2, 0], "scores": [0.9, 0.7], "label_names": ["coat", "hat"]},
        {"class_ids": [], "scores": [], "label_names": []},
        {"class_ids": [0, 1, 2], "scores": [0.8, 0.8, 0.7], "label_names": ["hat", "bag", "coat"]},
    ]


def test_a_request_may_ask_for_fewer_labels() -> None:
    output = MultiLabelThreshOutput(3, 0.7, {})
    assert [entry["class_ids"] for entry in output(SEVERAL, output.check(1))] == [[2], [], [0]]
    with pytest.raises(RequestError, match=re.escape("top_k is 4; it takes a whole number from 1 to 3")):
        output.check(4)


def test_results_are_plain_python_numbers() -> None:
    for output in (ThreshOutput(2, 0.5, {}), MultiLabelThreshOutput(2, 0.1, {})):
        entry = output(np.array([[0.4, 0.6]], np.float32), 2)[0]
        assert {type(class_id) for class_id in entry["class_ids"]} == {int}
        assert {type(score) for score in entry["scores"]} == {float}
