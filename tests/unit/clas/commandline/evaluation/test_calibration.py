import numpy as np
import pytest

from clas.commandline.evaluation.calibration import Calibration


def test_answers_are_counted_by_tenths_of_the_score() -> None:
    counted = Calibration()
    for score, is_right in ((0.0, False), (0.71, True), (0.79, False), (0.75, True), (1.0, True)):
        counted.add(score, is_right=is_right)
    bins = counted.bins()
    assert [(each.least, each.answers) for each in bins] == [(0.0, 1), (0.7, 3), (0.9, 1)]
    assert [each.score for each in bins] == pytest.approx([0, 0.75, 1])
    assert [each.accuracy for each in bins] == pytest.approx([0, 2 / 3, 1])


def test_the_error_is_the_mean_distance_of_accuracy_and_score() -> None:
    random = np.random.default_rng(0)
    scores = random.random(500).round(5)
    right = random.random(500) < scores**2
    counted = Calibration()
    for score, is_right in zip(scores.tolist(), right.tolist(), strict=True):
        counted.add(score, is_right=is_right)
    expected = 0.0
    for least in range(10):
        inside = (scores * 10).astype(int) == least
        expected += inside.sum() / 500 * abs(right[inside].mean() - scores[inside].mean())
    assert counted.error() == pytest.approx(expected)
    assert expected > 0.05


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    counted = Calibration()
    assert (counted.bins(), counted.error()) == ([], None)
    counted.add(0.5, is_right=True)
    counted.add(7.5, is_right=True)
    assert (counted.bins(), counted.error()) == ([], None)
