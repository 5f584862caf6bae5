"""Chooses the postprocessor."""

import logging
from collections.abc import Mapping
from typing import Final

from ..settings import Settings
from .base import Postprocessor
from .threshold import MultiLabelThreshOutput, ThreshOutput
from .topk import Topk

_LOGGER: Final = logging.getLogger("clas_system")


def make_postprocessor(settings: Settings, num_outputs: int, labels: Mapping[int, str]) -> Postprocessor:
    """Create the postprocessor that main_indicator selects.

    Args:
        settings: Read for main_indicator, threshold and topk; a topk above `num_outputs` is lowered.
        num_outputs: Scores of the model per image.
        labels: Class id -> name.

    Raises:
        SettingsError: The model doesn't fit.
    """
    if settings.main_indicator == "ThreshOutput":
        return ThreshOutput(num_outputs, settings.threshold, labels)
    if settings.main_indicator == "MultiLabelThreshOutput":
        return MultiLabelThreshOutput(num_outputs, settings.threshold, labels)
    if settings.topk > num_outputs:
        _LOGGER.warning(
            "topk is %d, but the model has %d classes: lowered to that", settings.topk, num_outputs
        )
    return Topk(min(settings.topk, num_outputs), num_outputs, labels)
