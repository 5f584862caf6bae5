import logging
import re
from typing import Any

import numpy as np
import pytest

from clas.errors import SettingsError
from clas.model.score_range import ScoreRange
from clas.output.probabilities import Probabilities, probabilities_of, softmax
from clas.settings import Settings

PROBABILITIES = ScoreRange(0, 0.9, 1, 1)
SIGMOIDS = ScoreRange(0, 0.9, 0.1, 2.5)
LOGITS = ScoreRange(-3, 25.5, -9, 40)
UNBOUNDED = "the model's scores at the warm-up are from -3 to 25.5, which aren't probabilities: "


def decide(
    scores: ScoreRange | None, *, outputs: int = 6, labels: bool = True, **settings: Any
) -> Probabilities:
    return probabilities_of(Settings(**settings), outputs, scores, has_labels=labels)


def test_softmax_is_that_of_the_definition_for_any_size_of_numbers() -> None:
    scores = np.array([[1, 2, 3], [0, 0, 0], [1000, 999, -1000]], np.float32)
    exact = np.exp(scores.astype(np.longdouble) - 1000 * np.array([[0], [0], [1]]))
    np.testing.assert_allclose(
        softmax(scores), exact / exact.sum(axis=1, keepdims=True), rtol=1e-6, atol=1e-30
    )
    assert softmax(scores).dtype == np.float32


@pytest.mark.parametrize(
    ("scores", "settings"),
    [
        (PROBABILITIES, {}),
        (None, {}),
        (SIGMOIDS, {"main_indicator": "MultiLabelThreshOutput"}),
        (SIGMOIDS, {"main_indicator": "ThreshOutput"}),
        (SIGMOIDS, {"softmax": "false"}),
    ],
)
def test_what_is_right_is_left_alone(scores: ScoreRange | None, settings: dict[str, Any]) -> None:
    found = decide(scores, **settings)
    assert (found.softmax, found.warning) == (False, "")


@pytest.mark.parametrize("main_indicator", ["Topk", "ThreshOutput"])
def test_auto_takes_numbers_beyond_bounds_for_logits_if_the_classes_have_labels(main_indicator: str) -> None:
    found = decide(LOGITS, outputs=2, main_indicator=main_indicator)
    assert found.softmax
    assert found.warning.startswith(f"{UNBOUNDED}they are taken for logits, and softmax is applied")


def test_auto_leaves_them_if_the_outputs_may_be_features() -> None:
    found = decide(LOGITS, labels=False)
    assert not found.softmax
    assert found.warning.startswith(f"{UNBOUNDED}they are answered as they are; set softmax to true if")
    assert "may be the features of an image" in found.warning


@pytest.mark.parametrize(
    ("outputs", "main_indicator"), [(6, "MultiLabelThreshOutput"), (1, "ThreshOutput"), (1, "Topk")]
)
def test_auto_leaves_them_where_softmax_would_be_wrong(outputs: int, main_indicator: str) -> None:
    found = decide(LOGITS, outputs=outputs, main_indicator=main_indicator)
    assert not found.softmax
    assert found.warning == f"{UNBOUNDED}they are used as they are; export the model with its sigmoid"


@pytest.mark.parametrize("labels", [True, False])
def test_a_sum_that_is_not_one_is_warned_of(labels: bool) -> None:
    found = decide(SIGMOIDS, labels=labels)
    assert not found.softmax
    assert "have the sum 0.1 to 2.5, not 1: set main_indicator to MultiLabelThreshOutput if" in found.warning
    assert ("features" in found.warning) is not labels


@pytest.mark.parametrize(("scores", "message"), [(LOGITS, ""), (PROBABILITIES, "probabilities already")])
def test_true_applies_softmax_even_twice_which_is_warned_of(scores: ScoreRange, message: str) -> None:
    found = decide(scores, softmax="true", labels=False)
    assert found.softmax
    assert (message in found.warning) if message else not found.warning


def test_false_leaves_the_scores_and_says_so() -> None:
    found = decide(LOGITS, softmax="false")
    assert not found.softmax
    assert found.warning == f"{UNBOUNDED}softmax is false, and they are answered as they are"


def test_the_softmax_of_one_output_is_refused() -> None:
    with pytest.raises(SettingsError, match="softmax is true, but the model has one output"):
        decide(None, outputs=1, softmax="true")


def test_a_request_that_shows_other_scores_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    probabilities = Probabilities()
    with caplog.at_level(logging.WARNING, "clas_system"):
        for row in ([0.5, 0.5], [-1, 7.25], [0, 9]):
            scores = np.array([row], np.float32)
            assert probabilities(scores) is scores
    message = "a request has scores from -1 to 7.25, which aren't probabilities: set softmax to true if"
    assert re.findall(message, caplog.text) == [message]
    assert probabilities.warning.startswith(message)


@pytest.mark.parametrize("main_indicator", ["ScoreOutput", "features", "NormalizeFeatures", "Binarize"])
def test_numbers_and_features_may_be_anything(main_indicator: str, caplog: pytest.LogCaptureFixture) -> None:
    found = decide(LOGITS, main_indicator=main_indicator)
    features = np.array([[-5, 7.5]], np.float32)
    assert found(features) is features
    assert (found.softmax, found.warning, caplog.text) == (False, "", "")


def test_attributes_beyond_bounds_lack_their_sigmoid() -> None:
    found = decide(LOGITS, main_indicator="PersonAttribute")
    assert found.warning == f"{UNBOUNDED}they are used as they are; export the model with its sigmoid"
    assert not found.softmax
