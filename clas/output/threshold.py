"""Outputs with a threshold: one of two classes, one of several, or several at once."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from ..result_values import Thresholds
from .base import Postprocessor, Prediction

TWO_CLASSES: Final = 2


class ThreshOutput(Postprocessor):
    """Chooses between two classes: class 1 if its score reaches the threshold, else class 0 with 1 - score.

    Args:
        threshold: From 0 to 1.
        labels: Class id -> name.
    """

    def __init__(self, threshold: float, labels: Mapping[int, str]) -> None:
        super().__init__(1, TWO_CLASSES, labels)
        self._threshold = float(np.float32(threshold))  # scores are float32, too

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:  # noqa: ARG002  # always 1
        """Turn scores [N, 1 or 2], of which the last counts, into N results of one class each."""
        results: list[Prediction] = []
        for score in scores[:, -1].tolist():
            class_id = int(score >= self._threshold)
            results.append(self._entry([class_id], [score if class_id else 1 - score]))
        return results

    def class_scores(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn scores [N, 1 or 2] into [N, 2]; the one output of a model is the score of class 1."""
        return scores if scores.shape[1] == TWO_CLASSES else np.hstack([1 - scores, scores])


class MultiClassThreshOutput(Postprocessor):
    """Chooses the best of several classes if its score is above the threshold, else a class by default.

    Args:
        num_classes: The number of the model's classes.
        threshold: From 0 to 1.
        default: The class that is chosen otherwise, with its own score.
        labels: Class id -> name; empty for a service without labels.

    Raises:
        SettingsError: There is no such class.
    """

    def __init__(self, num_classes: int, threshold: float, default: int, labels: Mapping[int, str]) -> None:
        if default >= num_classes:
            raise SettingsError(
                f"default_label_index is {default}; the model's classes are 0 to {num_classes - 1}"
            )
        super().__init__(1, num_classes, labels)
        self._threshold = np.float32(threshold)
        self._default = default

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:  # noqa: ARG002  # always 1
        """Turn scores [N, num_classes] into N results of one class each."""
        best = np.where(scores.max(axis=1) > self._threshold, scores.argmax(axis=1), self._default)
        chosen = scores[np.arange(len(scores)), best]
        return [
            self._entry([class_id], [score])
            for class_id, score in zip(best.tolist(), chosen.tolist(), strict=True)
        ]


class MultiLabelThreshOutput(Postprocessor):
    """Keeps all classes whose score reaches the threshold, best first; there may be none.

    Args:
        num_classes: The number of the model's classes.
        threshold: From 0 to 1; or several.
        labels: Class id -> name; empty for a service without labels.

    Raises:
        SettingsError: The thresholds aren't those of the classes.
    """

    def __init__(self, num_classes: int, threshold: float | Thresholds, labels: Mapping[int, str]) -> None:
        super().__init__(num_classes, num_classes, labels)
        several = (
            threshold.of(num_classes) if isinstance(threshold, Thresholds) else [threshold] * num_classes
        )
        self._thresholds = np.array(several, np.float32)

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:
        """Turn scores [N, num_classes] into N results of at most `k` classes."""
        results: list[Prediction] = []
        for row in scores:
            order = np.argsort(-row, kind="stable")
            kept = order[row[order] >= self._thresholds[order]][:k]
            results.append(self._entry(kept.tolist(), row[kept].tolist()))
        return results
