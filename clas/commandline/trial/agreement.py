"""How far the answers of two engines agree on the same images."""

import base64
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import PredictionError
from ...output.base import Prediction

TOLERANCE: Final = 1e-3
"""Largest difference in fp32, as a fraction of the largest score."""
SAME_BEST: Final = 0.99
"""Least fraction of images with the same best class, in any other precision."""
CLEAR_LEAD: Final = 0.05
"""What the best class leads by where it is clear."""
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
        clear: How many have a best class that leads by more than CLEAR_LEAD in the reference.
        same_clear: How many of these have the same best class.
        largest_difference: Between two scores of the same image and class.
        largest_score: The largest absolute score of the reference.
    """

    images: int
    same_best: int
    clear: int
    same_clear: int
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


def _leads(reference: Scores) -> npt.NDArray[np.float32]:
    """By how much the best class of each image leads."""
    if reference.shape[1] == 1:
        return np.zeros(len(reference), np.float32)
    best_two = np.partition(reference, -2, axis=1)[:, -2:]
    leads: npt.NDArray[np.float32] = best_two[:, 1] - best_two[:, 0]
    return leads


def compare_scores(scores: Scores, reference: Scores) -> Agreement:
    """Compare all scores of the same images, both [N, num_outputs], N at least 1.

    Raises:
        PredictionError: They aren't of one shape, as those of two models.
    """
    if scores.shape != reference.shape:
        raise PredictionError(
            f"the scores are {list(scores.shape)}, those to compare with {list(reference.shape)}"
        )
    is_same = scores.argmax(axis=1) == reference.argmax(axis=1)
    is_clear = _leads(reference) > CLEAR_LEAD
    return Agreement(
        images=len(reference),
        same_best=int(is_same.sum()),
        clear=int(is_clear.sum()),
        same_clear=int((is_same & is_clear).sum()),
        largest_difference=float(np.abs(scores - reference).max()),
        largest_score=float(np.abs(reference).max()),
    )


def compare_predictions(answers: Sequence[Prediction], reference: Sequence[Prediction]) -> Agreement:
    """Compare the results of the same images, at least one."""
    pairs = list(zip(answers, reference, strict=True))
    is_same = [answer["class_ids"][:1] == wanted["class_ids"][:1] for answer, wanted in pairs]
    is_clear = [
        len(scores) > 1 and scores[0] - scores[1] > CLEAR_LEAD
        for scores in (each["scores"] for each in reference)
    ]
    return Agreement(
        images=len(pairs),
        same_best=sum(is_same),
        clear=sum(is_clear),
        same_clear=sum(same and clear for same, clear in zip(is_same, is_clear, strict=True)),
        largest_difference=max((_difference(*pair) for pair in pairs), default=0.0),
        largest_score=max((abs(number) for wanted in reference for number in _numbers(wanted)), default=0.0),
    )


def _difference(answer: Prediction, wanted: Prediction) -> float:
    """The largest difference of two results for an image, but for what rounding explains.

    A class that the reference doesn't name has there the lowest score of those that it names, or less; if it
    is the best of the answer, it is taken to have none. A number and features are compared one by one.
    """
    scores = dict(zip(wanted["class_ids"], wanted["scores"], strict=True))
    lowest = min(wanted["scores"], default=0.0)
    differences = [
        abs(score - scores.get(class_id, min(lowest, score) if place else 0.0))
        for place, (class_id, score) in enumerate(zip(answer["class_ids"], answer["scores"], strict=True))
    ]
    own = zip(_own_numbers(answer), _own_numbers(wanted), strict=False)
    differences += [abs(number - other) for number, other in own]
    return max(0.0, max(differences, default=0.0) - _ROUNDING)


def _numbers(entry: Prediction) -> list[float]:
    return [*entry["scores"], *_own_numbers(entry)]


def _own_numbers(entry: Prediction) -> list[float]:
    """The number or the features of a result, which have no classes; of base64 as float32."""
    if "value" in entry:
        return [entry["value"]]
    feature = entry.get("feature", [])
    if not isinstance(feature, str):
        return list(feature)
    content = base64.b64decode(feature)
    numbers: list[float] = np.nan_to_num(np.frombuffer(content[: len(content) // 4 * 4], "<f4")).tolist()
    return numbers
