import numpy as np
import pytest

from clas.output.topk import Topk, TopkFromScore

SCORES = np.array([[0.1, 0.6, 0.3], [0.3333333, 0.3333333, 0.3333334]], np.float32)


def test_results_are_descending_rounded_and_in_the_order_of_the_batch() -> None:
    topk = Topk(2, 3, {0: "zero", 1: "one", 2: "two"})
    assert topk(SCORES, 2) == [
        {"class_ids": [1, 2], "scores": [0.6, 0.3], "label_names": ["one", "two"]},
        {"class_ids": [2, 0], "scores": [0.33333, 0.33333], "label_names": ["two", "zero"]},
    ]


def test_of_equal_scores_the_lower_id_comes_first() -> None:
    assert Topk(4, 9, {})(np.full((1, 9), 0.1, np.float32), 4)[0]["class_ids"] == [0, 1, 2, 3]


@pytest.mark.parametrize("k", [1, 2, 8, 9, 20, 50])
def test_however_many_are_asked_for_they_are_the_best_in_their_order(k: int) -> None:
    scores = np.random.default_rng(k).integers(0, 30, (7, 50)).astype(np.float32) / 32  # many are equal
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = Topk(k, 50, {})(scores, k)
    assert [entry["class_ids"] for entry in found] == order.tolist()
    assert [entry["scores"] for entry in found] == [
        [round(float(score), 5) for score in row] for row in np.take_along_axis(scores, order, 1)
    ]


def test_results_are_plain_python_numbers() -> None:
    entry = Topk(1, 3, {})(SCORES, 1)[0]
    assert type(entry["class_ids"][0]) is int
    assert type(entry["scores"][0]) is float


def test_without_labels_label_names_is_empty() -> None:
    assert Topk(2, 3, {})(SCORES, 2)[0]["label_names"] == []


def test_a_class_without_a_label_has_an_empty_name() -> None:
    assert Topk(2, 3, {1: "one"})(SCORES, 2)[0]["label_names"] == ["one", ""]


@pytest.mark.parametrize("k", [1, 5, 12])
@pytest.mark.parametrize("min_score", [0.05, 0.1, 0.3, 1.0])
def test_classes_below_min_score_are_left_out_and_none_may_be_left(k: int, min_score: float) -> None:
    scores = np.random.default_rng(k).dirichlet([1] * 12, 40).astype(np.float32)
    scores[0, 3] = np.float32(min_score)  # reached
    for row, entry in zip(scores, TopkFromScore(k, 12, {}, min_score)(scores, k), strict=True):
        order = np.argsort(-row, kind="stable")[:k]
        assert entry["class_ids"] == [place for place in order if row[place] >= np.float32(min_score)]
        assert entry["scores"] == [round(float(row[place]), 5) for place in entry["class_ids"]]
