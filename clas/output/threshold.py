"""Outputs with a threshold: two-class and multi-label models."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from .base import Postprocessor, Prediction

_MOST_OUTPUTS: Final = 2


class ThreshOutput(Postprocessor):
    """Chooses between two classes: class 1 if its score reaches the threshold, else class 0 with 1 - score.

    Args:
        num_outputs: Scores per image: 2, of which the second counts, or 1, that of class 1.
        threshold: From 0 to 1.
        labels: Class id -> name.

    Raises:
        SettingsError: The model has more than two outputs.
    """

    def __init__(self, num_outputs: int, threshold: float, labels: Mapping[int, str]) -> None:
        if num_outputs > _MOST_OUTPUTS:
            raise SettingsError(
                f"main_indicator is ThreshOutput, which is for two classes; the model has {num_outputs}"
            )
        super().__init__(1, _MOST_OUTPUTS, labels)
        self._threshold = float(np.float32(threshold))  # scores are float32, too

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:  # noqa: ARG002  # always 1
        """Turn scores [N, 1 or 2] into N results of one class each."""
        results: list[Prediction] = []
        for score in scores[:, -1].tolist():
            class_id = int(score >= self._threshold)
            results.append(self._entry([class_id], [score if class_id else 1 - score]))
        return results


class MultiLabelThreshOutput(Postprocessor):
    """Keeps all classes whose score reaches the threshold, best first; there may be none.

    Args:
        num_classes: The number of the model's classes.
        threshold: From 0 to 1.
        labels: Class id -> name; empty for a service without labels.
    """

    def __init__(self, num_classes: int, threshold: float, labels: Mapping[int, str]) -> None:
        super().__init__(num_classes, num_classes, labels)
        self._threshold = float(np.float32(threshold))  # scores are float32, too

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:
        """Turn scores [N, num_classes] into N results of at most `k` classes."""
        results: list[Prediction] = []
        for row in scores:
            order = np.argsort(-row, kind="stable")[:k]
            kept = order[row[order] >= self._threshold]
            results.append(self._entry(kept.tolist(), row[kept].tolist()))
        return results
