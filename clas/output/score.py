"""The number that a regression returns."""

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from .base import NO_LABELS, Postprocessor, Prediction, no_classes


class ScoreOutput(Postprocessor):
    """Answers the only output as a number.

    Args:
        num_outputs: Scores of the model per image, 1.
        decimal_places: Decimals to which it is rounded.

    Raises:
        SettingsError: The model has more outputs.
    """

    def __init__(self, num_outputs: int, decimal_places: int) -> None:
        if num_outputs != 1:
            raise SettingsError(
                f"main_indicator is ScoreOutput, which is for one output; the model has {num_outputs}"
            )
        super().__init__(1, 1, NO_LABELS)
        self._decimal_places = decimal_places

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:  # noqa: ARG002  # no classes
        """Turn scores [N, 1] into N results with a number."""
        return [
            {**no_classes(), "value": round(score, self._decimal_places)} for score in scores[:, 0].tolist()
        ]
