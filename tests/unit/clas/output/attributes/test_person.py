"""The texts are those that PaddleClas' documentation of the format says, computed here with plain numpy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.output.attributes.person import PersonAttribute
from clas.settings import Settings

UPPER = ["UpperStride", "UpperLogo", "UpperPlaid", "UpperSplice"]
LOWER = ["LowerStripe", "LowerPattern", "LongCoat", "Trousers", "Shorts", "Skirt&Dress"]


def texts_of(row: "np.ndarray[Any, Any]", threshold: float, glasses: float, hold: float) -> list[str]:
    s = row.astype(np.float64)
    upper = "Upper: " + ("LongSleeve" if s[3] > s[2] else "ShortSleeve")
    for place, name in zip(range(4, 8), UPPER, strict=True):
        upper += f" {name}" if s[place] > threshold else ""
    lower = "Lower: "
    for place, name in zip(range(8, 14), LOWER, strict=True):
        lower += f" {name}" if s[place] > threshold else ""
    if lower == "Lower: ":
        lower += f" {LOWER[np.argmax(s[8:14])]}"
    bag = int(np.argmax(s[15:18]))
    return [
        "Female" if s[22] > threshold else "Male",
        ["AgeLess18", "Age18-60", "AgeOver60"][np.argmax(s[19:22])],
        ["Front", "Side", "Back"][np.argmax(s[23:26])],
        "Glasses: True" if s[1] > glasses else "Glasses: False",
        "Hat: True" if s[0] > threshold else "Hat: False",
        "HoldObjectsInFront: True" if s[18] > hold else "HoldObjectsInFront: False",
        ["HandBag", "ShoulderBag", "Backpack"][bag] if s[15 + bag] > threshold else "No bag",
        upper,
        lower,
        "Boots" if s[14] > threshold else "No boots",
    ]


SHARES = st.floats(0, 1, width=32) | st.sampled_from([np.float32(0.3), np.float32(0.5), np.float32(0.6)])
THRESHOLDS = st.sampled_from([0.3, 0.5, 0.6, 0.9])


@given(
    rows=st.lists(st.lists(SHARES, min_size=26, max_size=26), min_size=1, max_size=3),
    threshold=THRESHOLDS,
    glasses=THRESHOLDS,
    hold=THRESHOLDS,
)
def test_texts_and_bits_are_those_of_the_format(
    rows: list[list[float]], threshold: float, glasses: float, hold: float
) -> None:
    scores = np.array(rows, np.float32)
    settings = Settings(
        main_indicator="PersonAttribute",
        threshold=threshold,
        glasses_threshold=glasses,
        hold_threshold=hold,
    )
    for row, entry in zip(scores, PersonAttribute(26, settings, {})(scores, 26), strict=True):
        assert entry["attributes"] == texts_of(row, threshold, glasses, hold)
        thresholds = np.full(26, 0.5)
        thresholds[1], thresholds[18] = glasses, hold
        bits = (row.astype(np.float64) > thresholds).astype(int)
        assert entry["output"] == bits.tolist()
        order = np.argsort(-row, kind="stable")
        assert entry["class_ids"] == order[bits[order] == 1].tolist()
        assert entry["scores"] == [round(float(row[place]), 5) for place in entry["class_ids"]]


def test_a_person_to_the_letter() -> None:
    scores = np.zeros((1, 26), np.float32)
    scores[0, [1, 3, 4, 7, 11, 16, 20, 22, 25]] = [0.31, 0.9, 0.8, 0.7, 0.95, 0.6, 0.5, 0.51, 0.1]
    [entry] = PersonAttribute(26, Settings(main_indicator="PersonAttribute"), {})(scores, 26)
    assert entry == {
        "class_ids": [11, 3, 4, 7, 16, 22, 1],
        "scores": [0.95, 0.9, 0.8, 0.7, 0.6, 0.51, 0.31],
        "label_names": [
            "Trousers",
            "LongSleeve",
            "UpperStride",
            "UpperSplice",
            "ShoulderBag",
            "Female",
            "Glasses",
        ],
        "attributes": [
            "Female",
            "Age18-60",
            "Back",
            "Glasses: True",
            "Hat: False",
            "HoldObjectsInFront: False",
            "ShoulderBag",
            "Upper: LongSleeve UpperStride UpperSplice",
            "Lower:  Trousers",
            "No boots",
        ],
        "output": [0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0],
    }


@pytest.mark.parametrize("k", [1, 3])
def test_top_k_limits_the_classes_and_nothing_else(k: int) -> None:
    scores = np.random.default_rng(1).random((2, 26)).astype(np.float32)
    output = PersonAttribute(26, Settings(main_indicator="PersonAttribute"), {})
    for few, all_of_them in zip(output(scores, k), output(scores, 26), strict=True):
        assert few["class_ids"] == all_of_them["class_ids"][:k]
        assert (few["attributes"], few["output"]) == (all_of_them["attributes"], all_of_them["output"])
