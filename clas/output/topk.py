"""The best classes of each image."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from .base import Postprocessor, Prediction

_FEW: Final = 8
"""The largest k for which k passes are faster than a partition of all scores."""


class Topk(Postprocessor):
    """Keeps the `k` best classes of each image; of equal scores, the lower id comes first."""

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:
        """Turn scores [N, num_classes] into N results of `k` classes, best first."""
        return [self._entry(class_ids, best) for class_ids, best in best_classes(scores, k)]


def best_classes(scores: npt.NDArray[np.float32], k: int) -> list[tuple[list[int], list[float]]]:
    """Return the `k` best classes of each row of [N, num_classes], best first, and their scores.

    Of equal scores, the lower class comes first.
    """
    if k <= _FEW:
        return [_few_best(row, k) for row in scores]
    order, best = _best(scores, k)
    return list(zip(order.tolist(), best.tolist(), strict=True))


class TopkFromScore(Topk):
    """Like Topk, without the classes whose score is lower than `min_score`; there may be none.

    Args:
        k: See `Postprocessor`.
        num_classes: See `Postprocessor`.
        labels: See `Postprocessor`.
        min_score: From 0 to 1.
    """

    def __init__(self, k: int, num_classes: int, labels: Mapping[int, str], min_score: float) -> None:
        super().__init__(k, num_classes, labels)
        self._min_score = float(np.float32(min_score))  # scores are float32, too

    def _entry(self, class_ids: list[int], scores: list[float]) -> Prediction:
        count = sum(score >= self._min_score for score in scores)  # the first ones: they are descending
        return super()._entry(class_ids[:count], scores[:count])


def _few_best(scores: npt.NDArray[np.float32], k: int) -> tuple[list[int], list[float]]:
    """Like `_best`, for one image's scores [num_classes]: makes k passes, which is faster for a small k."""
    left = scores.astype(np.float64)
    class_ids: list[int] = []
    for _ in range(k):
        best = int(left.argmax())  # the first of equals
        class_ids.append(best)
        left[best] = -np.inf
    return class_ids, scores[class_ids].tolist()


def _best(scores: npt.NDArray[np.float32], k: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return the classes [N, k] with the k best scores, best first, and these scores [N, k]."""
    num_classes = scores.shape[1]
    least = np.partition(scores, num_classes - k, axis=1)[:, num_classes - k :][:, :1]
    rows, candidates = (scores >= least).nonzero()  # ordered by row, then by id
    if len(rows) == len(scores) * k:
        best, candidates = scores[rows, candidates].reshape(-1, k), candidates.reshape(-1, k)
    else:  # several scores equal the k-th
        best, candidates = scores, np.broadcast_to(np.arange(num_classes), scores.shape)
    order = np.argsort(-best, axis=1, kind="stable")[:, :k]
    row = np.arange(len(scores))[:, np.newaxis]
    return candidates[row, order], best[row, order]
