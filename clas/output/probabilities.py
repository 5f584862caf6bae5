"""Whether a model's scores are probabilities, and the softmax that makes them so."""

import logging
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from ..model.score_range import ScoreRange, is_within_bounds
from ..result_settings import FEATURE_FORMS
from ..settings import Settings

Scores = npt.NDArray[np.float32]

_LOGGER: Final = logging.getLogger("clas_system")
_FEWEST_OUTPUTS: Final = 2  # the softmax of one score is 1, whatever it is


class Probabilities:
    """Applies softmax where it is wanted; looks at the scores where it isn't, and warns once.

    Args:
        softmax: Whether to apply it.
        warning: What isn't right about the model's scores; empty if nothing is known.
        are_any: They may be any numbers, such as features: they aren't looked at.

    Attributes:
        softmax: As given.
        warning: As given, or what a request has shown.
    """

    def __init__(self, *, softmax: bool = False, warning: str = "", are_any: bool = False) -> None:
        self.softmax = softmax
        self.warning = warning
        self._are_any = are_any

    def __call__(self, scores: Scores) -> Scores:
        """Turn the scores [N, num_outputs] of a model into those that its results are made of."""
        if self.softmax:
            return softmax(scores)
        if (
            not self._are_any
            and not self.warning
            and not is_within_bounds(lowest := float(scores.min()), highest := float(scores.max()))
        ):
            self.warning = (
                f"a request has scores from {lowest:.4g} to {highest:.4g}, which aren't probabilities: "
                "set softmax to true if they are logits"
            )
            _LOGGER.warning("%s", self.warning)
        return scores


def softmax(scores: Scores) -> Scores:
    """Return exp(score) / sum(exp(scores)) for each row of [N, num_outputs]."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    result: Scores = powers / powers.sum(axis=1, keepdims=True)
    return result


def probabilities_of(
    settings: Settings, num_outputs: int, scores: ScoreRange | None, *, has_labels: bool
) -> Probabilities:
    """Decide by the scores of the warm-up what is done to those of requests.

    With softmax "auto" it is applied to scores beyond 0 and 1 if the classes are known to exclude each other:
    main_indicator is Topk or ThreshOutput, and the outputs have labels. Without labels they may be anything,
    such as the features of an image. Numbers and features are left alone.

    Args:
        settings: Read for softmax and main_indicator.
        num_outputs: Scores per image.
        scores: Their range at the warm-up; None if it isn't known.
        has_labels: Whether the outputs have labels.

    Raises:
        SettingsError: softmax is true, and there is one score only.
    """
    if settings.main_indicator in ("ScoreOutput", *FEATURE_FORMS):
        return Probabilities(are_any=True)
    if settings.softmax == "true":
        if num_outputs < _FEWEST_OUTPUTS:
            raise SettingsError("softmax is true, but the model has one output, whose softmax is always 1")
        is_double = scores is not None and scores.is_distribution
        return Probabilities(softmax=True, warning=_DOUBLE if is_double else "")
    if scores is None or scores.is_distribution:
        return Probabilities()
    if not scores.is_within_bounds:
        return _beyond_bounds(settings, num_outputs, scores, has_labels=has_labels)
    if settings.softmax == "false" or settings.main_indicator != "Topk":
        return Probabilities()
    sums = f"{scores.lowest_sum:.4g} to {scores.highest_sum:.4g}"
    return Probabilities(warning=_SUMS.format(sums) + ("" if has_labels else _FEATURES))


def _beyond_bounds(
    settings: Settings, num_outputs: int, scores: ScoreRange, *, has_labels: bool
) -> Probabilities:
    found = f"the model's scores at the warm-up are from {scores}, which aren't probabilities: "
    if settings.softmax == "false":
        return Probabilities(warning=f"{found}softmax is false, and they are answered as they are")
    if settings.main_indicator not in ("Topk", "ThreshOutput") or num_outputs < _FEWEST_OUTPUTS:
        return Probabilities(warning=f"{found}they are used as they are; export the model with its sigmoid")
    if has_labels:
        return Probabilities(softmax=True, warning=found + _LOGITS)
    return Probabilities(warning=found + _UNKNOWN)


_DOUBLE: Final = (
    "softmax is true, but the model's scores are probabilities already, which it makes alike: set it to auto"
)
_LOGITS: Final = (
    "they are taken for logits, and softmax is applied; set softmax to true if that is right, or to false"
)
_FEATURES: Final = (
    "; they have no labels, and may be the features of an image, which aren't classes: set main_indicator to "
    "features if they are"
)
_UNKNOWN: Final = (
    f"they are answered as they are; set softmax to true if they are logits, or to false{_FEATURES}"
)
_SUMS: Final = (
    "the model's scores at the warm-up have the sum {}, not 1: set main_indicator to MultiLabelThreshOutput "
    "if several classes may be true at once, softmax to true if they are logits, to false if they are right"
)
