import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clas.output.attributes.table import TableAttribute
from clas.settings import Settings

YES = ["Scanned", "Little", "Black-and-White", "Clear", "Without-Obstacles", "Horizontal"]
NO = ["Photo", "Numerous", "Multicolor", "Blurry", "With-Obstacles", "Tilted"]
NAMES = ["source", "number", "color", "clarity", "obstruction", "angle"]
SIX = st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6)


@given(row=SIX, thresholds=SIX)
def test_the_texts_and_the_bits_are_those_of_the_format(row: list[float], thresholds: list[float]) -> None:
    options = {f"{name}_threshold": value for name, value in zip(NAMES, thresholds, strict=True)}
    settings = Settings(main_indicator="TableAttribute", **options)  # type: ignore[arg-type]  # all floats
    scores = np.array([row], np.float32)
    [entry] = TableAttribute(6, settings, {})(scores, 6)
    number = thresholds[1]
    is_yes = scores[0] > np.array([*thresholds[:4], number, number])  # the slip of the original
    assert entry["attributes"] == [
        yes if found else no for found, yes, no in zip(is_yes, YES, NO, strict=True)
    ]
    assert entry["output"] == (scores[0] > np.array(thresholds)).astype(int).tolist()
    assert entry["label_names"] == [YES[place] for place in entry["class_ids"]]


def test_the_number_decides_the_last_two_texts_and_not_their_bits() -> None:
    settings = Settings(main_indicator="TableAttribute", number_threshold=0.8)
    [entry] = TableAttribute(6, settings, {})(np.full((1, 6), 0.7, np.float32), 6)
    assert entry["attributes"] == [
        *("Scanned", "Numerous", "Black-and-White", "Clear", "With-Obstacles", "Tilted")
    ]
    assert entry["output"] == [1, 0, 1, 1, 1, 1]
