"""The base class of postprocessors, and the type of a result."""

import abc
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypedDict, TypeGuard

import numpy as np
import numpy.typing as npt

from ..errors import RequestError
from .probabilities import Probabilities

NO_LABELS: Final[Mapping[int, str]] = {}
"""The labels of what isn't a class."""

_SCORE_DECIMALS: Final = 5
_LARGEST_ID: Final = 2**63 - 1
_LARGEST_SCORE: Final = float(np.finfo(np.float32).max)


class _Results(TypedDict):
    class_ids: list[int]
    scores: list[float]
    label_names: list[str]


class GroupResult(TypedDict):
    """The answer of a group of outputs: the chosen output, its label and its score."""

    label: str
    class_id: int
    score: float


class Prediction(_Results, total=False):
    """The results for one image, best first; an image that failed has empty lists and an `error`.

    Attributes, groups, numbers and features have fields of their own beside the lists: `attributes` with
    `output`, `groups` (by name), `value`, and `feature` (numbers, or their bytes in base64).
    """

    error: str
    attributes: list[str] | str
    output: list[int]
    groups: dict[str, GroupResult]
    value: float
    feature: list[float] | list[int] | str


def no_classes() -> Prediction:
    """Return an entry with empty lists."""
    return {"class_ids": [], "scores": [], "label_names": []}


def failed_prediction(reason: str) -> Prediction:
    """Return the entry of an image that failed alone."""
    return {**no_classes(), "error": reason}


def rounded(score: float) -> float:
    """Return a score as results have it."""
    return round(score, _SCORE_DECIMALS)


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

    def class_scores(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn scores [N, outputs of the model] into those of all its classes, [N, num_classes]."""
        return scores

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
            "scores": [rounded(score) for score in scores],
            "label_names": [self.labels.get(i, "") for i in class_ids] if self.labels else [],
        }


def is_prediction(entry: object) -> bool:
    """Return whether a value read from JSON has the three lists of a result; with valid items everywhere."""
    if not isinstance(entry, dict):
        return False
    class_ids, scores, label_names = (entry.get(name) for name in ("class_ids", "scores", "label_names"))
    return (
        isinstance(class_ids, list)
        and all(map(_is_id, class_ids))
        and isinstance(scores, list)
        and all(map(is_finite_number, scores))
        and _are_texts(label_names)
        and len(scores) == len(class_ids)
        and len(label_names) in (0, len(class_ids))
        and all(is_valid(entry[name]) for name, is_valid in _OWN_FIELDS.items() if name in entry)
    )


def is_finite_number(value: object) -> bool:
    """Return whether a value read from JSON is a number in the range of float32, as scores are."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_SCORE


def _is_id(value: object) -> bool:
    return type(value) is int and abs(value) <= _LARGEST_ID


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _are_groups(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(group, dict)
        and isinstance(group.get("label"), str)
        and _is_id(group.get("class_id"))
        and is_finite_number(group.get("score"))
        for group in value.values()
    )


def _is_feature(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(map(is_finite_number, value)))


_OWN_FIELDS: Final[Mapping[str, Callable[[object], bool]]] = {
    "attributes": lambda value: isinstance(value, str) or _are_texts(value),
    "output": lambda value: (
        isinstance(value, list) and all(type(bit) is int and bit in (0, 1) for bit in value)
    ),
    "groups": _are_groups,
    "value": is_finite_number,
    "feature": _is_feature,
}
