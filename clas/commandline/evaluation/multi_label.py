"""Figures for models that say of each label whether an image has it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .average_precision import ScoreCounts
from .calibration import Calibration
from .figures import Figures, figures_of, macro_mean, ratio, weighted_mean


class MultiLabel:
    """Counts which labels are answered for which images.

    Args:
        num_labels: Labels in the true ones of each image; their ids begin with 0.

    Attributes:
        images: Images that were counted.
        exact: Those of which all labels are right.
        calibration: The scores of all labels in the answers, and whether the images have them.
        scores: The counts from which the average precision comes.
        num_beyond: Images that were answered with a label that the true ones don't have.
        num_shortened: Images whose answers lack a label, whose score then counts as 0.
    """

    def __init__(self, num_labels: int) -> None:
        self.images = 0
        self.exact = 0
        self.num_beyond = 0
        self.num_shortened = 0
        self.calibration = Calibration()
        self.scores = ScoreCounts(num_labels)
        self._hits, self._answered, self._true = np.zeros((3, num_labels), np.int64)
        self._lengths: set[int] = set()

    @property
    def is_ranked(self) -> bool:
        """Whether all answers have the same few labels in number, as of a model that ranks classes."""
        return self.images > 1 and len(self._lengths) == 1 and 1 < min(self._lengths) < len(self._true)

    @property
    def has_all_labels(self) -> bool:
        """Whether all answers have all labels, as with a threshold of 0."""
        return self._lengths == {len(self._true)}

    def add(self, truth: Sequence[int], class_ids: Sequence[int], scores: Sequence[float]) -> None:
        """Count an answer.

        Args:
            truth: The ids of the labels that the image has, ascending.
            class_ids: Those in the answer.
            scores: Theirs.
        """
        answer = dict(zip(class_ids, scores, strict=True))
        known = [label for label in answer if 0 <= label < len(self._true)]
        wanted = set(truth)
        self.images += 1
        self.exact += answer.keys() == wanted
        self.num_beyond += len(known) < len(answer)
        self.num_shortened += len(known) < len(self._true)
        if len(self._lengths) <= 1:
            self._lengths.add(len(answer))
        self._true[list(truth)] += 1
        self._answered[known] += 1
        self._hits[[label for label in known if label in wanted]] += 1
        self.scores.add(wanted, known, [answer[label] for label in known])
        for label, score in answer.items():
            self.calibration.add(score, is_right=label in wanted)

    def labels(self) -> list[Figures]:
        """Return the figures of each label."""
        return [figures_of(*map(int, counts)) for counts in zip(*self._counts(), strict=True)]

    def means(self) -> dict[str, Figures]:
        """Return the means over all labels; `micro` counts each label of each image once."""
        labels = self.labels()
        micro = figures_of(*(int(counts.sum()) for counts in self._counts()))
        return {"micro": micro, "macro": macro_mean(labels), "weighted": weighted_mean(labels)}

    def average_precisions(self) -> list[float | None]:
        """Return the average precision of each label; None for one that no image has."""
        return [
            self.scores.average_precision(label, int(positives), self.images)
            for label, positives in enumerate(self._true)
        ]

    def mean_average_precision(self) -> float | None:
        """Return the mean over the labels that an image has; None if scores weren't between 0 and 1."""
        found = [each for each in self.average_precisions() if each is not None]
        return ratio(sum(found), len(found)) if found else None

    def _counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return self._hits, self._answered, self._true
