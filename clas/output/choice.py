"""Chooses the postprocessor."""

import logging
from collections.abc import Mapping
from typing import Final

from ..model.score_range import ScoreRange
from ..settings import Settings
from .base import Postprocessor
from .probabilities import probabilities_of
from .threshold import MultiLabelThreshOutput, ThreshOutput
from .topk import Topk

_LOGGER: Final = logging.getLogger("clas_system")


def make_postprocessor(
    settings: Settings, num_outputs: int, labels: Mapping[int, str], scores: ScoreRange | None = None
) -> Postprocessor:
    """Create the postprocessor that main_indicator selects.

    Args:
        settings: Read for main_indicator, threshold, softmax and topk; a topk above `num_outputs` is lowered.
        num_outputs: Scores of the model per image.
        labels: Class id -> name.
        scores: Their range at the warm-up; None if it isn't known.

    Raises:
        SettingsError: The model doesn't fit.
    """
    output = _postprocessor(settings, num_outputs, labels)
    output.probabilities = probabilities_of(settings, num_outputs, scores, has_labels=bool(labels))
    return output


def _postprocessor(settings: Settings, num_outputs: int, labels: Mapping[int, str]) -> Postprocessor:
    if settings.main_indicator == "ThreshOutput":
        return ThreshOutput(num_outputs, settings.threshold, labels)
    if settings.main_indicator == "MultiLabelThreshOutput":
        return MultiLabelThreshOutput(num_outputs, settings.threshold, labels)
    if settings.topk > num_outputs:
        _LOGGER.warning(
            "topk is %d, but the model has %d classes: lowered to that", settings.topk, num_outputs
        )
    return Topk(min(settings.topk, num_outputs), num_outputs, labels)
