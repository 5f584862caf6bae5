import re

import numpy as np
import pytest

from clas.errors import RequestError
from clas.output.base import failed_prediction, is_prediction
from clas.output.topk import Topk


def test_the_default_k_stands_in_for_none() -> None:
    assert Topk(2, 3, {}).check(None) == 2
    assert Topk(2, 3, {}).check(3) == 3


@pytest.mark.parametrize("top_k", [0, -1, 4, True, 2.0, "2", [1]])
def test_an_invalid_top_k_is_refused(top_k: object) -> None:
    with pytest.raises(
        RequestError, match=re.escape(f"top_k is {top_k!r}; it takes a whole number from 1 to 3")
    ):
        Topk(2, 3, {}).check(top_k)


def test_a_failed_image_has_empty_lists_and_its_error() -> None:
    assert dict(failed_prediction("why")) == {
        "class_ids": [],
        "scores": [],
        "label_names": [],
        "error": "why",
    }


def test_results_keep_the_order_of_the_images_and_failed_ones_their_reason() -> None:
    scores = np.array([[0.1, 0.6, 0.3], [0.9, 0.05, 0.05]], np.float32)
    merged = Topk(2, 3, {}).merge(scores, [None, "damaged", None], 1)
    assert [entry["class_ids"] for entry in merged] == [[1], [], [0]]
    assert [entry.get("error") for entry in merged] == [None, "damaged", None]


def test_without_scores_every_image_has_failed() -> None:
    merged = Topk(2, 3, {}).merge(None, ["damaged", "empty"], 1)
    assert merged == [failed_prediction("damaged"), failed_prediction("empty")]


ENTRY = {"class_ids": [1], "scores": [0.5], "label_names": ["cat"]}
ANSWER = {"label": "male", "class_id": 22, "score": 0.1}


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"attributes": [], "output": []},
        {"attributes": ["Male"], "output": [0, 1]},
        {"attributes": "Color unknown, Type unknown"},
        {"groups": {"gender": ANSWER}},
        {"value": -1.5},
        {"value": 3},
        {"feature": [0.5, 1]},
        {"feature": "AACAPw=="},
    ],
)
def test_each_form_of_a_result_is_valid(own: dict[str, object]) -> None:
    assert is_prediction({**ENTRY, **own})


@pytest.mark.parametrize(
    "own",
    [
        {"attributes": 5},
        {"attributes": [5]},
        {"attributes": None},
        {"output": [2]},
        {"output": [True]},
        {"output": "01"},
        {"groups": []},
        {"groups": {"gender": "male"}},
        {"groups": {"gender": {**ANSWER, "label": 5}}},
        {"groups": {"gender": {**ANSWER, "class_id": 0.5}}},
        {"groups": {"gender": {**ANSWER, "score": float("nan")}}},
        {"groups": {"gender": {"label": "male"}}},
        {"value": "3"},
        {"value": True},
        {"value": float("inf")},
        {"feature": [None]},
        {"feature": [1e39]},
        {"feature": {}},
    ],
)
def test_a_field_of_a_form_with_anything_else_is_invalid(own: dict[str, object]) -> None:
    assert not is_prediction({**ENTRY, **own})
