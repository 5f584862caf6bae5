import numpy as np
import pytest

from clas.model.score_range import ScoreRange


def test_the_range_covers_all_batches() -> None:
    found = ScoreRange.of([np.array([[0.25, 0.75], [0, 0.5]], np.float32), np.array([[2, 1]], np.float32)])
    assert found == ScoreRange(0, 2, 0.5, 3)
    assert str(found) == "0 to 2"


@pytest.mark.parametrize(
    ("row", "is_within", "is_distribution"),
    [
        ([0.2, 0.8], True, True),
        ([0.2, 0.803], True, True),  # bfloat16 rounds so
        ([0.2, 0.9], True, False),
        ([-1e-6, 1], True, True),
        ([-0.5, 1.5], False, False),
        ([0, 0], True, False),
        ([np.nan, 0], False, False),
    ],
)
def test_probabilities_are_told_from_other_numbers(
    row: list[float], is_within: bool, is_distribution: bool
) -> None:
    found = ScoreRange.of([np.array([row], np.float32)])
    assert (found.is_within_bounds, found.is_distribution) == (is_within, is_distribution)
