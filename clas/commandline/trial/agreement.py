"""How far the answers of two engines agree on the same images."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ...output.base import Prediction

TOLERANCE: Final = 1e-3
"""Largest difference in fp32, as a fraction of the largest score."""
SAME_BEST: Final = 0.99
"""Least fraction of images with the same best class, in any other precision."""
RULE: Final = (
    f"scores agree if no fp32 score differs by more than {TOLERANCE:g} of the largest score, "
    f"or, in another precision, if {SAME_BEST:.0%} of the images have the same best class"
)

_ROUNDING: Final = 1e-5  # of results: both have five decimals

Scores = npt.NDArray[np.float32]


class Agreement(NamedTuple):
    """How far answers agree with those of a reference.

    Attributes:
        images: How many were compared.
        same_best: How many of them have the same best class.
        largest_difference: Between two scores of the same image and class.
        largest_score: The largest absolute score of the reference.
    """

    images: int
    same_best: int
    largest_difference: float
    largest_score: float

    @property
    def same_best_share(self) -> float:
        """The fraction of images with the same best class."""
        return self.same_best / self.images

    def holds(self, precision: str) -> bool:
        """Whether the answers agree, by RULE.

        Args:
            precision: That of the answers; the reference is in fp32.
        """
        if precision == "fp32":
            return self.largest_difference <= TOLERANCE * self.largest_score
        return self.same_best_share >= SAME_BEST

    def __str__(self) -> str:
        return (
            f"same best class for {self.same_best} of {self.images} images, "
            f"largest difference {self.largest_difference:.2g}"
        )


def compare_scores(scores: Scores, reference: Scores) -> Agreement:
    """Compare all scores of the same images, both [N, num_outputs], N at least 1."""
    return Agreement(
        images=len(reference),
        same_best=int((scores.argmax(axis=1) == reference.argmax(axis=1)).sum()),
        largest_difference=float(np.abs(scores - reference).max()),
        largest_score=float(np.abs(reference).max()),
    )


def compare_predictions(answers: Sequence[Prediction], reference: Sequence[Prediction]) -> Agreement:
    """Compare the results of the same images, at least one.

    Classes that one of the two doesn't have are left out; what rounding explains is no difference.
    """
    pairs = list(zip(answers, reference, strict=True))
    differences = [0.0]
    for answer, wanted in pairs:
        scores = dict(zip(wanted["class_ids"], wanted["scores"], strict=True))
        differences += [
            max(0.0, abs(score - scores[class_id]) - _ROUNDING)
            for class_id, score in zip(answer["class_ids"], answer["scores"], strict=True)
            if class_id in scores
        ]
    return Agreement(
        images=len(pairs),
        same_best=sum(answer["class_ids"][:1] == wanted["class_ids"][:1] for answer, wanted in pairs),
        largest_difference=max(differences),
        largest_score=max((abs(score) for wanted in reference for score in wanted["scores"]), default=0.0),
    )
