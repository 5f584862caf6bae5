"""The base class of postprocessors, and the type of a result."""

import abc
import reprlib
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

from ..errors import RequestError
from .probabilities import Probabilities

_SCORE_DECIMALS: Final = 5
_LARGEST_ID: Final = 2**63 - 1
_LARGEST_SCORE: Final = float(np.finfo(np.float32).max)


class _Results(TypedDict):
    class_ids: list[int]
    scores: list[float]
    label_names: list[str]


class Prediction(_Results, total=False):
    """The results for one image, best first; an image that failed has empty lists and an `error`."""

    error: str


def failed_prediction(reason: str) -> Prediction:
    """Return the entry of an image that failed alone."""
    return {"class_ids": [], "scores": [], "label_names": [], "error": reason}


class Postprocessor(abc.ABC):
    """Turns the scores of a batch into results.

    Args:
        k: Results per image, unless a call asks for another number.
        num_classes: The number of classes that results can name; `k` must not exceed it.
        labels: Class id -> name; empty for a service without labels.

    Attributes:
        probabilities: What is done to the scores first; nothing but a look at them, unless it is replaced.
    """

    def __init__(self, k: int, num_classes: int, labels: Mapping[int, str]) -> None:
        self.k = k
        self.num_classes = num_classes
        self.labels = labels
        self.probabilities = Probabilities()

    def check(self, top_k: object) -> int:
        """Validate the `top_k` of a request; None stands for the default.

        Raises:
            RequestError: It isn't an integer from 1 to the number of classes.
        """
        if top_k is None:
            return self.k
        if type(top_k) is not int or not 1 <= top_k <= self.num_classes:
            raise RequestError(
                f"top_k is {reprlib.repr(top_k)}; it takes a whole number from 1 to {self.num_classes}"
            )
        return top_k

    @abc.abstractmethod
    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:
        """Turn scores [N, outputs of the model] into N results of at most `k` classes, best first."""

    def merge(
        self, scores: npt.NDArray[np.float32] | None, failures: Sequence[str | None], k: int
    ) -> list[Prediction]:
        """Return the results of a request in the order of its images.

        Args:
            scores: [n, outputs of the model], a row per image that didn't fail; None if all did.
            failures: For each image of the request the reason why it failed, or None.
            k: The most classes per image.
        """
        answered = iter([] if scores is None else self(self.probabilities(scores), k))
        return [next(answered) if reason is None else failed_prediction(reason) for reason in failures]

    def _entry(self, class_ids: list[int], scores: list[float]) -> Prediction:
        """Return the result for one image."""
        return {
            "class_ids": class_ids,
            "scores": [round(score, _SCORE_DECIMALS) for score in scores],
            "label_names": [self.labels.get(i, "") for i in class_ids] if self.labels else [],
        }


def is_prediction(entry: object) -> bool:
    """Return whether a value read from JSON has the three lists of a result, with valid items."""
    if not isinstance(entry, dict):
        return False
    class_ids, scores, label_names = (entry.get(name) for name in ("class_ids", "scores", "label_names"))
    return (
        isinstance(class_ids, list)
        and all(type(class_id) is int and abs(class_id) <= _LARGEST_ID for class_id in class_ids)
        and isinstance(scores, list)
        and all(is_finite_number(score) for score in scores)
        and isinstance(label_names, list)
        and all(isinstance(name, str) for name in label_names)
        and len(scores) == len(class_ids)
        and len(label_names) in (0, len(class_ids))
    )


def is_finite_number(value: object) -> bool:
    """Return whether a value read from JSON is a number in the range of float32, as scores are."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_SCORE
