import re

import numpy as np
import pytest

from clas.errors import RequestError, SettingsError
from clas.output.threshold import MultiClassThreshOutput, MultiLabelThreshOutput, ThreshOutput
from clas.result_values import Thresholds

LABELS = {0: "nobody", 1: "someone"}
SEVERAL = np.array([[0.7, 0.1, 0.9], [0.2, 0.1, 0.3], [0.8, 0.8, 0.7]], np.float32)


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_a_two_class_model_says_yes_from_the_threshold_on(num_outputs: int) -> None:
    yes = np.array([[0.7], [0.6999], [0.9], [0.0]], np.float32)
    scores = np.concatenate([1 - yes, yes], axis=1)[:, -num_outputs:]
    assert ThreshOutput(0.7, LABELS)(scores, 1) == [
        {"class_ids": [1], "scores": [0.7], "label_names": ["someone"]},
        {"class_ids": [0], "scores": [0.3001], "label_names": ["nobody"]},
        {"class_ids": [1], "scores": [0.9], "label_names": ["someone"]},
        {"class_ids": [0], "scores": [1.0], "label_names": ["nobody"]},
    ]


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5])
def test_of_several_classes_the_best_is_chosen_above_the_threshold_else_the_default(threshold: float) -> None:
    scores = np.random.default_rng(5).dirichlet([1] * 7, 50).astype(np.float32)
    scores[0] = np.float32(threshold)  # not above it
    results = MultiClassThreshOutput(7, threshold, 2, {class_id: f"n{class_id}" for class_id in range(7)})
    for row, entry in zip(scores, results(scores, 1), strict=True):
        chosen = int(np.argmax(row)) if row.max() > np.float32(threshold) else 2
        assert entry == {
            "class_ids": [chosen],
            "scores": [round(float(row[chosen]), 5)],
            "label_names": [f"n{chosen}"],
        }


def test_a_default_that_is_no_class_is_refused() -> None:
    with pytest.raises(SettingsError, match="default_label_index is 3; the model's classes are 0 to 2"):
        MultiClassThreshOutput(3, 0.5, 3, {})


def test_each_label_may_have_a_threshold_of_its_own() -> None:
    scores = np.random.default_rng(6).random((50, 5)).astype(np.float32)
    thresholds = np.array([0.5, 0.5, 0.5, 0.2, 0.9], np.float32)
    several = Thresholds(((3, 0.2), (4, 0.9)), 0.5)
    for output in (
        MultiLabelThreshOutput(5, several, {}),
        MultiLabelThreshOutput(5, Thresholds(tuple(enumerate([0.5, 0.5, 0.5, 0.2, 0.9]))), {}),
    ):
        for row, entry in zip(scores, output(scores, 5), strict=True):
            wanted = [place for place in np.argsort(-row) if row[place] >= thresholds[place]]
            assert entry["class_ids"] == wanted


def test_both_classes_have_a_score_whether_the_model_has_one_output_or_two() -> None:
    two = np.array([[0.4, 0.6], [0.9, 0.1]], np.float32)
    np.testing.assert_array_equal(ThreshOutput(0.5, LABELS).class_scores(two), two)
    of_one = ThreshOutput(0.5, LABELS).class_scores(np.array([[0.75], [0.0]], np.float32))
    np.testing.assert_array_equal(of_one, np.array([[0.25, 0.75], [1, 0]], np.float32))
    assert of_one.dtype == np.float32


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
    for output in (
        ThreshOutput(0.5, {}),
        MultiClassThreshOutput(2, 0.5, 0, {}),
        MultiLabelThreshOutput(2, 0.1, {}),
    ):
        entry = output(np.array([[0.4, 0.6]], np.float32), 2)[0]
        assert {type(class_id) for class_id in entry["class_ids"]} == {int}
        assert {type(score) for score in entry["scores"]} == {float}


def test_the_best_of_the_classes_that_reach_their_thresholds_count() -> None:
    output = MultiLabelThreshOutput(2, Thresholds(((0, 0.9), (1, 0.2))), {})
    [entry] = output(np.array([[0.6, 0.5]], np.float32), 1)
    assert entry["class_ids"] == [1]
