"""Chooses the postprocessor."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from ..model.score_range import ScoreRange
from ..result_settings import FEATURE_FORMS
from ..result_values import Thresholds
from ..settings import Settings
from .attributes.face import FaceAttribute
from .attributes.person import PersonAttribute
from .attributes.table import TableAttribute
from .attributes.vehicle import VehicleAttribute
from .base import Postprocessor
from .features import Binarize, FeatureOutput, NormalizeFeatures
from .groups import GroupOutput
from .probabilities import probabilities_of
from .score import ScoreOutput
from .threshold import TWO_CLASSES, MultiClassThreshOutput, MultiLabelThreshOutput, ThreshOutput
from .topk import Topk, TopkFromScore

_LOGGER: Final = logging.getLogger("clas_system")
_ATTRIBUTES: Final[Mapping[str, Callable[[int, Settings, Mapping[int, str]], Postprocessor]]] = {
    "PersonAttribute": PersonAttribute,
    "VehicleAttribute": VehicleAttribute,
    "TableAttribute": TableAttribute,
    "FaceAttribute": FaceAttribute,
}


def make_postprocessor(
    settings: Settings, num_outputs: int, labels: Mapping[int, str], scores: ScoreRange | None = None
) -> Postprocessor:
    """Create the postprocessor that main_indicator selects.

    Args:
        settings: Read for main_indicator, the settings that it reads, and softmax; a topk above `num_outputs`
            is lowered.
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
    form = settings.main_indicator
    if form in _ATTRIBUTES:
        return _ATTRIBUTES[form](num_outputs, settings, labels)
    if form in FEATURE_FORMS:
        return _features(settings, num_outputs)
    if form == "groups":
        return GroupOutput(num_outputs, settings.groups)
    if form == "ScoreOutput":
        return ScoreOutput(num_outputs, settings.decimal_places)
    if form == "Topk":
        return _topk(settings, num_outputs, labels)
    return _threshold(settings, num_outputs, labels)


def _threshold(settings: Settings, num_outputs: int, labels: Mapping[int, str]) -> Postprocessor:
    if settings.main_indicator == "MultiLabelThreshOutput":
        several = settings.threshold if isinstance(settings.threshold, Thresholds) else settings.one_threshold
        return MultiLabelThreshOutput(num_outputs, several, labels)
    if num_outputs <= TWO_CLASSES:
        return ThreshOutput(settings.one_threshold, labels)
    return MultiClassThreshOutput(num_outputs, settings.one_threshold, settings.default_label_index, labels)


def _features(settings: Settings, num_outputs: int) -> Postprocessor:
    as_base64 = settings.feature_format == "base64"
    if settings.main_indicator == "Binarize":
        return Binarize(num_outputs, settings.binarize_method, as_base64=as_base64)
    chosen = NormalizeFeatures if settings.main_indicator == "NormalizeFeatures" else FeatureOutput
    return chosen(num_outputs, as_base64=as_base64)


def _topk(settings: Settings, num_outputs: int, labels: Mapping[int, str]) -> Postprocessor:
    if settings.topk > num_outputs:
        _LOGGER.warning(
            "topk is %d, but the model has %d classes: lowered to that", settings.topk, num_outputs
        )
    k = min(settings.topk, num_outputs)
    if settings.min_score > 0:
        return TopkFromScore(k, num_outputs, labels, settings.min_score)
    return Topk(k, num_outputs, labels)
