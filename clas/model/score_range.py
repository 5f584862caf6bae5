"""The range of the scores that a model returned while it was warmed up."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

_ROUNDING: Final = 1e-3
"""How far beyond 0 and 1 a probability may be."""
_SUM_ROUNDING: Final = 1e-2
"""How far from 1 the sum of probabilities may be: bfloat16 rounds each of them to 8 bits."""


@dataclasses.dataclass(frozen=True)
class ScoreRange:
    """The range of scores and of their sums for each image.

    Attributes:
        lowest: The lowest score.
        highest: The highest score.
        lowest_sum: The lowest sum of an image's scores.
        highest_sum: The highest such sum.
    """

    lowest: float
    highest: float
    lowest_sum: float
    highest_sum: float

    @classmethod
    def of(cls, batches: Sequence[npt.NDArray[np.float32]]) -> "ScoreRange":
        """Return the range of one or more batches of scores [N, num_outputs]; NaN where one of them is."""
        scores = np.concatenate(batches)
        sums = scores.sum(axis=1, dtype=np.float64)
        return cls(float(scores.min()), float(scores.max()), float(sums.min()), float(sums.max()))

    @property
    def is_within_bounds(self) -> bool:
        """Whether all scores are from 0 to 1."""
        return is_within_bounds(self.lowest, self.highest)

    @property
    def is_distribution(self) -> bool:
        """Whether all scores are from 0 to 1, and those of each image have the sum 1."""
        sums = self.lowest_sum >= 1 - _SUM_ROUNDING and self.highest_sum <= 1 + _SUM_ROUNDING
        return self.is_within_bounds and sums

    def __str__(self) -> str:
        """`0.1 to 25.5`."""
        return f"{self.lowest:.4g} to {self.highest:.4g}"


def is_within_bounds(lowest: float, highest: float) -> bool:
    """Whether scores from `lowest` to `highest` may be probabilities."""
    return lowest >= -_ROUNDING and highest <= 1 + _ROUNDING
