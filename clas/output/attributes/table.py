"""The attributes of an image of a table."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...settings import Settings
from .base import AttributeOutput

_NAMES: Final = ("Scanned", "Little", "Black-and-White", "Clear", "Without-Obstacles", "Horizontal")
_ELSE: Final = ("Photo", "Numerous", "Multicolor", "Blurry", "With-Obstacles", "Tilted")


class TableAttribute(AttributeOutput):
    """Six texts: source, number, color, clarity, obstruction and angle.

    The last two are decided by number_threshold: a slip of the original, which people's results carry.

    Args:
        num_outputs: Scores of the model per image, 6.
        settings: Read for the thresholds of the six.
        labels: As `AttributeOutput`.

    Raises:
        SettingsError: The model has another number of outputs.
    """

    def __init__(self, num_outputs: int, settings: Settings, labels: Mapping[int, str]) -> None:
        number = settings.number_threshold
        first = [settings.source_threshold, number, settings.color_threshold, settings.clarity_threshold]
        thresholds = [*first, settings.obstruction_threshold, settings.angle_threshold]
        super().__init__(num_outputs, _NAMES, thresholds, labels)
        self._text_thresholds = [*first, number, number]

    def texts(self, scores: Sequence[float]) -> list[str]:
        """Return the texts of an image with these scores."""
        decided = zip(scores, self._text_thresholds, _NAMES, _ELSE, strict=True)
        return [yes if score > threshold else no for score, threshold, yes, no in decided]
