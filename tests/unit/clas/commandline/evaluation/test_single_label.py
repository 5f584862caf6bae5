"""The figures of single-label models, held against scikit-learn's."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clas.commandline.evaluation.figures import macro_mean, weighted_mean
from clas.commandline.evaluation.single_label import SingleLabel

metrics = pytest.importorskip("sklearn.metrics")  # isn't in every environment

Array = npt.NDArray[Any]

IMAGES = 400
CLASSES = 12


@pytest.fixture(scope="module")
def scores() -> Array:
    return np.random.default_rng(0).dirichlet(np.full(CLASSES, 0.4), IMAGES).round(5)


@pytest.fixture(scope="module")
def truth(scores: Array) -> Array:
    """Often the best class, never one of the last two, of which only answers speak."""
    random = np.random.default_rng(1)
    found = np.where(random.random(IMAGES) < 0.6, scores.argmax(axis=1), random.integers(0, CLASSES, IMAGES))
    return np.where(found >= CLASSES - 2, 0, found)


@pytest.fixture(scope="module")
def counted(scores: Array, truth: Array) -> SingleLabel:
    counts = SingleLabel()
    for row, true_id in zip(scores, truth.tolist(), strict=True):
        best = np.argsort(-row, kind="stable")[:6]
        counts.add(true_id, best.tolist(), row[best].tolist())
    return counts


def test_accuracies_are_scikit_learns(counted: SingleLabel, scores: Array, truth: Array) -> None:
    assert counted.tops() == [1, 2, 3, 4, 5, 6]
    assert counted.hits(1) / IMAGES == metrics.accuracy_score(truth, scores.argmax(axis=1))
    distinct = scores - np.arange(CLASSES) * 1e-9  # of equal scores the lower id is first
    for top in (1, 2, 5, 6):
        expected = metrics.top_k_accuracy_score(truth, distinct, k=top, labels=range(CLASSES))
        assert counted.hits(top) / IMAGES == pytest.approx(expected)


def test_figures_of_classes_and_their_means_are_scikit_learns(
    counted: SingleLabel, scores: Array, truth: Array
) -> None:
    answers = scores.argmax(axis=1)
    classes = counted.classes()
    assert list(classes) == sorted({*truth.tolist(), *answers.tolist()})
    expected = metrics.precision_recall_fscore_support(truth, answers, zero_division=0)
    assert np.array(list(classes.values())) == pytest.approx(np.array(expected).T)
    for mean, average in ((macro_mean, "macro"), (weighted_mean, "weighted")):
        figures = metrics.precision_recall_fscore_support(truth, answers, average=average, zero_division=0)
        assert mean(classes.values())[:3] == pytest.approx(figures[:3])
    assert classes[CLASSES - 1].images == 0


def test_the_confusion_matrix_is_scikit_learns(counted: SingleLabel, scores: Array, truth: Array) -> None:
    matrix = metrics.confusion_matrix(truth, scores.argmax(axis=1), labels=range(CLASSES))
    assert [
        [counted.count(row, column) for column in range(CLASSES)] for row in range(CLASSES)
    ] == matrix.tolist()
    confusions = counted.confusions()
    assert sum(each.images for each in confusions) == matrix.sum() - np.trace(matrix)
    assert all(matrix[each.truth, each.answer] == each.images for each in confusions)
    counts = [each.images for each in confusions]
    assert counts == sorted(counts, reverse=True)


def test_an_answer_without_a_class_is_wrong_and_no_class_of_its_own() -> None:
    counted = SingleLabel()
    counted.add("cat", ["cat", "dog"], [0.75, 0.25])
    counted.add("cat", [], [])
    assert (counted.hits(1), counted.tops()) == (1, [1])
    assert counted.classes() == {"cat": (1.0, 0.5, 2 / 3, 2)}
    assert counted.confusions() == [("cat", None, 1)]
    assert sum(each.answers for each in counted.calibration.bins()) == 1


def test_accuracies_go_as_far_as_the_shortest_answer_and_at_most_to_ten() -> None:
    counted = SingleLabel()
    assert counted.tops() == []
    counted.add(30, list(range(40)), [0.0] * 40)
    assert counted.tops() == list(range(1, 11))
    assert counted.hits(10) == 0
    counted.add(2, [0, 1, 2], [0.5, 0.25, 0.25])
    assert counted.tops() == [1, 2, 3]
    assert counted.hits(3) == 1
