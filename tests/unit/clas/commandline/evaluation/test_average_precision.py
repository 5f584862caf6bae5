"""The average precision, held against scikit-learn's."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clas.commandline.evaluation.average_precision import ScoreCounts

metrics = pytest.importorskip("sklearn.metrics")  # isn't in every environment

Array = npt.NDArray[Any]


def counted(truth: Array, scores: Array, least: float = 0.0, num_labels: int = 0) -> ScoreCounts:
    """Of answers that hold the scores from `least` on."""
    counts = ScoreCounts(max(num_labels, scores.shape[1]))
    for true_row, row in zip(truth, scores, strict=True):
        kept = np.flatnonzero(row >= least).tolist()
        counts.add(set(np.flatnonzero(true_row).tolist()), kept, row[kept].tolist())
    return counts


@pytest.fixture(scope="module")
def scores() -> Array:
    """With many equal ones."""
    random = np.random.default_rng(0)
    return np.where(
        random.random((300, 7)) < 0.3, random.integers(0, 11, (300, 7)) / 10, random.random((300, 7))
    ).round(5)


@pytest.fixture(scope="module")
def truth(scores: Array) -> Array:
    return (np.random.default_rng(1).random(scores.shape) < 0.1 + 0.6 * scores).astype(int)


@pytest.mark.parametrize("least", [0.0, 0.5])
def test_the_average_precision_is_scikit_learns(truth: Array, scores: Array, least: float) -> None:
    counts = counted(truth, scores, least)
    assert counts.step == 1e-5
    for label in range(7):
        seen = np.where(scores[:, label] >= least, scores[:, label], 0)
        expected = metrics.average_precision_score(truth[:, label], seen)
        assert counts.average_precision(label, int(truth[:, label].sum()), 300) == pytest.approx(expected)


def test_many_labels_are_told_apart_by_fewer_decimals(truth: Array, scores: Array) -> None:
    counts = counted(truth, scores, num_labels=1000)
    assert counts.step == 1e-4
    expected = metrics.average_precision_score(truth[:, 0], scores[:, 0].round(4))
    assert counts.average_precision(0, int(truth[:, 0].sum()), 300) == pytest.approx(expected, abs=1e-9)
    assert ScoreCounts(10_000).step == 1e-3


def test_there_is_none_for_a_label_without_images_or_for_logits() -> None:
    counts = ScoreCounts(2)
    counts.add({0}, [0, 1], [0.5, 0.25])
    assert counts.average_precision(1, 0, 1) is None
    assert counts.average_precision(0, 1, 1) == 1
    counts.add({0}, [0], [3.5])
    assert counts.average_precision(0, 2, 2) is None
    assert not counts.are_probabilities
