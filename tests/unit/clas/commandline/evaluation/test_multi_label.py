"""The figures of multi-label models, held against scikit-learn's."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clas.commandline.evaluation.multi_label import MultiLabel

metrics = pytest.importorskip("sklearn.metrics")  # isn't in every environment

Array = npt.NDArray[Any]

IMAGES = 300
LABELS = 6
THRESHOLD = 0.5


@pytest.fixture(scope="module")
def scores() -> Array:
    return np.random.default_rng(0).random((IMAGES, LABELS)).round(5)


@pytest.fixture(scope="module")
def truth(scores: Array) -> Array:
    """No image has the last label."""
    found = (np.random.default_rng(1).random(scores.shape) < scores**2).astype(int)
    found[:, -1] = 0
    return found


@pytest.fixture(scope="module")
def counted(scores: Array, truth: Array) -> MultiLabel:
    counts = MultiLabel(LABELS)
    for true_row, row in zip(truth, scores, strict=True):
        answer = [label for label in np.argsort(-row).tolist() if row[label] >= THRESHOLD]
        counts.add(tuple(np.flatnonzero(true_row).tolist()), answer, row[answer].tolist())
    return counts


def test_figures_of_labels_and_their_means_are_scikit_learns(
    counted: MultiLabel, scores: Array, truth: Array
) -> None:
    answers = (scores >= THRESHOLD).astype(int)
    expected = metrics.precision_recall_fscore_support(truth, answers, zero_division=0)
    assert np.array(counted.labels()) == pytest.approx(np.array(expected).T)
    for average, mean in counted.means().items():
        figures = metrics.precision_recall_fscore_support(truth, answers, average=average, zero_division=0)
        assert mean[:3] == pytest.approx(figures[:3])
    assert counted.exact / IMAGES == metrics.accuracy_score(truth, answers)
    assert 0 < counted.exact < IMAGES


def test_the_mean_average_precision_is_scikit_learns_over_the_labels_that_images_have(
    counted: MultiLabel, scores: Array, truth: Array
) -> None:
    seen = np.where(scores >= THRESHOLD, scores, 0)
    expected = metrics.average_precision_score(truth[:, :-1], seen[:, :-1], average="macro")
    assert counted.mean_average_precision() == pytest.approx(expected)
    assert counted.average_precisions()[-1] is None


def test_answers_that_leave_labels_out_are_counted(counted: MultiLabel, scores: Array) -> None:
    assert counted.num_shortened == (scores < THRESHOLD).any(axis=1).sum()
    assert not counted.is_ranked
    assert counted.num_beyond == 0


def test_answers_of_one_length_are_those_of_a_model_that_ranks() -> None:
    counted = MultiLabel(4)
    found = []
    for answer in ([0, 1], [1, 2], [1]):
        counted.add((0,), answer, [0.5] * len(answer))
        found.append(counted.is_ranked)
    assert found == [False, True, False]


def test_answers_with_all_labels_are_those_of_a_threshold_of_0() -> None:
    counted = MultiLabel(2)
    for answer in ([0, 1], [1, 0]):
        counted.add((0,), answer, [0.5, 0.25])
    assert counted.has_all_labels
    assert not counted.is_ranked
    counted.add((0,), [0], [0.5])
    assert not counted.has_all_labels


def test_labels_beyond_the_list_and_named_twice_count_once_at_most() -> None:
    counted = MultiLabel(2)
    counted.add((0,), [0, 0, 7], [0.9, 0.8, 0.7])
    assert counted.num_beyond == 1
    assert counted.exact == 0
    assert [each.precision for each in counted.labels()] == [1, 0]
    assert counted.mean_average_precision() == 1
