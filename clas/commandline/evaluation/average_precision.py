"""Average precision of each label, from counts by score."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MOST_BYTES: Final = 100 * 2**20
_STEPS: Final = (100_000, 10_000, 1_000)
"""Scores from 0 to 1 are told apart by a step of one of these; answers have five decimals."""
_BYTES_EACH: Final = 2 * 4


class ScoreCounts:
    """Counts scores of images with and without a label, in at most 100 MiB for up to 13,000 labels.

    Args:
        num_labels: With up to 131 labels, scores are told apart by all of their five decimals; with up to
            1310, by four; with more, by three.

    Attributes:
        step: By how much scores differ at least that are told apart.
        are_probabilities: Whether all scores were between 0 and 1.
    """

    def __init__(self, num_labels: int) -> None:
        fits = (steps for steps in _STEPS if num_labels * (steps + 1) * _BYTES_EACH <= _MOST_BYTES)
        self._steps = next(fits, _STEPS[-1])
        self.step = 1 / self._steps
        self.are_probabilities = True
        # [label, whether an image has it, score]; the system gives memory to what is counted only
        self._counts: npt.NDArray[np.uint32] = np.zeros((num_labels, 2, self._steps + 1), np.uint32)

    def add(self, truth: Collection[int], class_ids: Sequence[int], scores: Sequence[float]) -> None:
        """Count the scores of one answer; labels that it doesn't have count as score 0."""
        for class_id, score in zip(class_ids, scores, strict=True):
            if not 0 <= score <= 1:
                self.are_probabilities = False
                return
            self._counts[class_id, int(class_id in truth), round(score * self._steps)] += 1

    def average_precision(self, label: int, positives: int, images: int) -> float | None:
        """Return the mean of precision over recall, as the score sinks from 1 to 0.

        Args:
            label: The label's id.
            positives: How many images have it.
            images: How many there are.

        Returns:
            The sum over all scores of (recall - recall at the next higher score) * precision; None if no
            image has the label, or scores weren't between 0 and 1.
        """
        if not positives or not self.are_probabilities:
            return None
        counts: npt.NDArray[Any] = self._counts[label].astype(np.int64)
        counts[1, 0] += positives - counts[1].sum()
        counts[0, 0] += images - positives - counts[0].sum()
        negatives, found = counts[:, ::-1]
        hits = np.cumsum(found)
        answered = hits + np.cumsum(negatives)
        has_any = found > 0
        return float((found[has_any] / positives * (hits[has_any] / answered[has_any])).sum())
