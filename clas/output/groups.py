"""The answers of a model with several heads."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from ..result_values import Group
from .base import NO_LABELS, GroupResult, Postprocessor, Prediction, rounded
from .selection import best_of


class GroupOutput(Postprocessor):
    """Answers a question for each group: the best of its outputs, or whether its one is above its threshold.

    The lists of a result have the chosen outputs in the groups' order, not by score.

    Args:
        num_outputs: Scores of the model per image.
        groups: At least one.

    Raises:
        SettingsError: A group has an output that the model hasn't.
    """

    def __init__(self, num_outputs: int, groups: Sequence[Group]) -> None:
        for group in groups:
            if (highest := max(group.outputs)) >= num_outputs:
                raise SettingsError(
                    f"group {group.name!r} has output {highest}; the model has {num_outputs} outputs, "
                    f"0 to {num_outputs - 1}"
                )
        super().__init__(len(groups), num_outputs, NO_LABELS)
        self._groups = groups

    def __call__(self, scores: npt.NDArray[np.float32], k: int) -> list[Prediction]:  # noqa: ARG002  # always all
        """Turn scores [N, num_outputs] into N results with an answer for each group."""
        return [self._result(row) for row in scores.tolist()]

    def _result(self, scores: Sequence[float]) -> Prediction:
        answers = {group.name: _answer(group, scores) for group in self._groups}
        return {
            "class_ids": [answer["class_id"] for answer in answers.values()],
            "scores": [answer["score"] for answer in answers.values()],
            "label_names": [answer["label"] for answer in answers.values()],
            "groups": answers,
        }


def _answer(group: Group, scores: Sequence[float]) -> GroupResult:
    chosen = best_of(scores, group.outputs)
    if group.threshold is None:
        label = group.labels[group.outputs.index(chosen)]
    else:
        label = group.labels[scores[chosen] > group.threshold]
    return {"label": label, "class_id": chosen, "score": rounded(scores[chosen])}
