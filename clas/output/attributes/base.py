"""The base class of attributes, whose texts and bits are those of PaddleClas' attribute models."""

import abc
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ...errors import SettingsError
from ..base import Postprocessor, Prediction
from ..selection import above


class AttributeOutput(Postprocessor):
    """Answers what is known of an image in texts, beside the outputs above their thresholds.

    Scores are compared as the doubles that they are, without rounding the thresholds to float32: so does the
    original, and 0.65 in float32 isn't above 0.65.

    Args:
        num_outputs: Scores of the model per image.
        names: The name of each output of this form.
        thresholds: The threshold of each, for `output` and `class_ids`.
        labels: Class id -> name, in place of `names`; empty for those.

    Raises:
        SettingsError: The model has another number of outputs.
    """

    def __init__(
        self, num_outputs: int, names: Sequence[str], thresholds: Sequence[float], labels: Mapping[int, str]
    ) -> None:
        if num_outputs != len(names):
            raise SettingsError(
                f"main_indicator is {type(self).__name__}, which is for {len(names)} outputs; the model has "
                f"{num_outputs}"
            )
        super().__init__(num_outputs, num_outputs, labels or dict(enumerate(names)))
        self._thresholds = thresholds

    @abc.abstractmethod
    def texts(self, scores: Sequence[float]) -> list[str] | str:
        """Return what is known of an image with these scores."""

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:
        """Turn scores [N, outputs of the form] into N results with attributes, and up to `k` outputs."""
        return [self._result(row, k) for row in scores.tolist()]

    def _result(self, scores: Sequence[float], k: int) -> Prediction:
        bits = above(scores, self._thresholds)
        found = sorted((place for place, bit in enumerate(bits) if bit), key=lambda place: -scores[place])[:k]
        entry = self._entry(found, [scores[place] for place in found])
        entry["attributes"] = self.texts(scores)
        entry["output"] = bits
        return entry
