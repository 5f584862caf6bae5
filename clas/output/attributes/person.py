"""The attributes of a person."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...settings import Settings
from ..selection import best_of
from .base import AttributeOutput

_NAMES: Final = (
    *("Hat", "Glasses", "ShortSleeve", "LongSleeve"),
    *("UpperStride", "UpperLogo", "UpperPlaid", "UpperSplice"),
    *("LowerStripe", "LowerPattern", "LongCoat", "Trousers", "Shorts", "Skirt&Dress", "Boots"),
    *("HandBag", "ShoulderBag", "Backpack", "HoldObjectsInFront"),
    *("AgeLess18", "Age18-60", "AgeOver60", "Female", "Front", "Side", "Back"),
)
_HAT, _GLASSES, _SHORT_SLEEVE, _LONG_SLEEVE = range(4)
_UPPER: Final = range(4, 8)
_LOWER: Final = range(8, 14)
_BOOTS: Final = 14
_BAGS: Final = range(15, 18)
_HOLD: Final = 18
_AGES: Final = range(19, 22)
_FEMALE: Final = 22
_DIRECTIONS: Final = range(23, 26)
_BIT_THRESHOLD: Final = 0.5
"""Of `output`, where the original doesn't use its option threshold."""


class PersonAttribute(AttributeOutput):
    """Ten texts: gender, age, direction, glasses, hat, hold, bag, upper, lower and shoe.

    Args:
        num_outputs: Scores of the model per image, 26.
        settings: Read for threshold, glasses_threshold and hold_threshold.
        labels: As `AttributeOutput`.

    Raises:
        SettingsError: The model has another number of outputs.
    """

    def __init__(self, num_outputs: int, settings: Settings, labels: Mapping[int, str]) -> None:
        thresholds = [_BIT_THRESHOLD] * len(_NAMES)
        thresholds[_GLASSES], thresholds[_HOLD] = settings.glasses_threshold, settings.hold_threshold
        super().__init__(num_outputs, _NAMES, thresholds, labels)
        self._threshold = settings.one_threshold
        self._glasses_threshold = settings.glasses_threshold
        self._hold_threshold = settings.hold_threshold

    def texts(self, scores: Sequence[float]) -> list[str]:
        """Return the texts of a person with these scores."""
        threshold = self._threshold
        bag = best_of(scores, _BAGS)
        return [
            "Female" if scores[_FEMALE] > threshold else "Male",
            _NAMES[best_of(scores, _AGES)],
            _NAMES[best_of(scores, _DIRECTIONS)],
            f"Glasses: {scores[_GLASSES] > self._glasses_threshold}",
            f"Hat: {scores[_HAT] > threshold}",
            f"HoldObjectsInFront: {scores[_HOLD] > self._hold_threshold}",
            _NAMES[bag] if scores[bag] > threshold else "No bag",
            self._upper(scores),
            self._lower(scores),
            "Boots" if scores[_BOOTS] > threshold else "No boots",
        ]

    def _upper(self, scores: Sequence[float]) -> str:
        sleeve = _LONG_SLEEVE if scores[_LONG_SLEEVE] > scores[_SHORT_SLEEVE] else _SHORT_SLEEVE
        return " ".join(["Upper:", _NAMES[sleeve], *self._names_of(scores, _UPPER)])

    def _lower(self, scores: Sequence[float]) -> str:
        found = self._names_of(scores, _LOWER) or [_NAMES[best_of(scores, _LOWER)]]
        return " ".join(["Lower: ", *found])

    def _names_of(self, scores: Sequence[float], places: range) -> list[str]:
        return [_NAMES[place] for place in places if scores[place] > self._threshold]
