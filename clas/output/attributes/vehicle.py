"""The attributes of a vehicle."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...settings import Settings
from ..selection import best_of
from .base import AttributeOutput

_COLORS: Final = ("yellow", "orange", "green", "gray", "red", "blue", "white", "golden", "brown", "black")
_TYPES: Final = ("sedan", "suv", "van", "hatchback", "mpv", "pickup", "bus", "truck", "estate")
_NAMES: Final = (*_COLORS, *_TYPES)


class VehicleAttribute(AttributeOutput):
    """One text with color and type, each with its score as the double that it is.

    Args:
        num_outputs: Scores of the model per image, 19.
        settings: Read for color_threshold and type_threshold.
        labels: As `AttributeOutput`.

    Raises:
        SettingsError: The model has another number of outputs.
    """

    def __init__(self, num_outputs: int, settings: Settings, labels: Mapping[int, str]) -> None:
        color, kind = settings.color_threshold, settings.type_threshold
        thresholds = [color] * len(_COLORS) + [kind] * len(_TYPES)
        super().__init__(num_outputs, _NAMES, thresholds, labels)

    def texts(self, scores: Sequence[float]) -> str:
        """Return the text of a vehicle with these scores."""
        color = self._text("Color", scores, range(len(_COLORS)))
        kind = self._text("Type", scores, range(len(_COLORS), len(_NAMES)))
        return f"{color}, {kind}"

    def _text(self, what: str, scores: Sequence[float], places: range) -> str:
        best = best_of(scores, places)
        if scores[best] >= self._thresholds[best]:  # reached is enough here, unlike in `output`
            return f"{what}: ({_NAMES[best]}, prob: {scores[best]})"
        return f"{what} unknown"
