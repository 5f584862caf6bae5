"""From scores to results: the top-k."""

import reprlib
from collections.abc import Mapping
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

from ..errors import RequestError

_SCORE_DECIMALS: Final = 5
_FEW: Final = 8
"""The largest k for which k steps are faster than a partition of all scores."""


class _Results(TypedDict):
    class_ids: list[int]
    scores: list[float]
    label_names: list[str]


class Prediction(_Results, total=False):
    """The results for one image, best first; `error` stands in the entry of one that couldn't be decoded."""

    error: str


def failed_prediction(reason: str) -> Prediction:
    """The entry of an image that failed alone."""
    return {"class_ids": [], "scores": [], "label_names": [], "error": reason}


class Topk:
    """Keep the best classes of each image.

    Args:
        k: How many, unless a call asks for another number.
        num_classes: How many the model has; `k` must not be larger.
        labels: Class id -> name; empty for a service without labels.
    """

    def __init__(self, k: int, num_classes: int, labels: Mapping[int, str]) -> None:
        self.k = k
        self.num_classes = num_classes
        self.labels = labels

    def check(self, top_k: object) -> int:
        """Validate the `top_k` of a request; None stands for the default.

        Raises:
            RequestError: It isn't a whole number from 1 to the number of classes.
        """
        if top_k is None:
            return self.k
        if type(top_k) is not int or not 1 <= top_k <= self.num_classes:
            raise RequestError(
                f"top_k is {reprlib.repr(top_k)}; it takes a whole number from 1 to {self.num_classes}"
            )
        return top_k

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:
        """Turn scores [N, num_classes] into N results, best first; of equals, the lower id first."""
        if k <= _FEW:
            return [self._entry(*_few_best(row, k)) for row in scores]
        order, best = _best(scores, k)
        return [
            self._entry(class_ids, row) for class_ids, row in zip(order.tolist(), best.tolist(), strict=True)
        ]

    def _entry(self, class_ids: list[int], scores: list[float]) -> Prediction:
        """The result for one image."""
        return {
            "class_ids": class_ids,
            "scores": [round(score, _SCORE_DECIMALS) for score in scores],
            "label_names": [self.labels.get(i, "") for i in class_ids] if self.labels else [],
        }


def _few_best(scores: npt.NDArray[np.float32], k: int) -> tuple[list[int], list[float]]:
    """What `_best` says of one image, [num_classes]; for a small k faster, since it is one step for each."""
    left = scores.astype(np.float64)
    class_ids: list[int] = []
    for _ in range(k):
        best = int(left.argmax())  # of equals, the first
        class_ids.append(best)
        left[best] = -np.inf
    return class_ids, scores[class_ids].tolist()


def _best(scores: npt.NDArray[np.float32], k: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The classes [N, k] of the k best scores, best first, and these; of equals, the lower id first."""
    num_classes = scores.shape[1]
    least = np.partition(scores, num_classes - k, axis=1)[:, num_classes - k :][:, :1]
    rows, candidates = (scores >= least).nonzero()  # in the order of rows, then of ids
    if len(rows) == len(scores) * k:
        best, candidates = scores[rows, candidates].reshape(-1, k), candidates.reshape(-1, k)
    else:  # several scores equal the last one that is in
        best, candidates = scores, np.broadcast_to(np.arange(num_classes), scores.shape)
    order = np.argsort(-best, axis=1, kind="stable")[:, :k]
    row = np.arange(len(scores))[:, np.newaxis]
    return candidates[row, order], best[row, order]
