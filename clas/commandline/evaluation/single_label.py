"""Figures for models that say which one class an image has."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from .calibration import Calibration
from .figures import Figures, figures_of

ClassKey = int | str
"""A class id, or a class name where true classes are given by names."""

MOST_RANKS: Final = 10
"""The highest k of a top-k accuracy."""


class Confusion(NamedTuple):
    """Images of one class that were answered with another.

    Attributes:
        truth: Their class.
        answer: The class in the answers; None for answers without any.
        images: How many there are.
    """

    truth: ClassKey
    answer: ClassKey | None
    images: int


class SingleLabel:
    """Counts which classes are answered for which.

    Memory doesn't grow with the images, but with what is confused: about 170 bytes for each pair of classes,
    of which there are no more than wrong answers.

    Attributes:
        images: Images that were counted.
        calibration: The best scores, and whether they were right.
    """

    def __init__(self) -> None:
        self.images = 0
        self.calibration = Calibration()
        self._pairs: Counter[tuple[ClassKey, ClassKey | None]] = Counter()
        self._ranks: Counter[int] = Counter()
        self._fewest: int | None = None

    @property
    def fewest_classes(self) -> int:
        """The number of classes in the shortest answer; 0 if there is none."""
        return self._fewest or 0

    @property
    def num_empty(self) -> int:
        """The number of answers without any class."""
        return sum(count for (_, answer), count in self._pairs.items() if answer is None)

    def add(self, truth: ClassKey, classes: Sequence[ClassKey], scores: Sequence[float]) -> None:
        """Count an answer.

        Args:
            truth: The class of the image.
            classes: Those in the answer, best first.
            scores: Theirs.
        """
        self.images += 1
        self._pairs[truth, classes[0] if classes else None] += 1
        self._fewest = len(classes) if self._fewest is None else min(self._fewest, len(classes))
        if truth in classes[:MOST_RANKS]:
            self._ranks[classes.index(truth)] += 1
        if scores:
            self.calibration.add(scores[0], is_right=classes[0] == truth)

    def hits(self, top: int) -> int:
        """Return how many images have their class among the best `top`, at most MOST_RANKS."""
        return sum(self._ranks[rank] for rank in range(top))

    def count(self, truth: ClassKey, answer: ClassKey | None) -> int:
        """Return how many images of a class were answered with another, or with it."""
        return self._pairs.get((truth, answer), 0)

    def tops(self) -> list[int]:
        """Return each k for which there is a top-k accuracy: all answers have as many classes."""
        return list(range(1, min(MOST_RANKS, max(1, self.fewest_classes)) + 1)) if self.images else []

    def classes(self) -> dict[ClassKey, Figures]:
        """Return the figures of each class that an image has, or was answered with, in order."""
        hits: Counter[ClassKey] = Counter()
        answered: Counter[ClassKey] = Counter()
        images: Counter[ClassKey] = Counter()
        for (truth, answer), count in self._pairs.items():
            images[truth] += count
            if answer is not None:
                answered[answer] += count
            if answer == truth:
                hits[truth] += count
        keys = sorted({*images, *answered}, key=lambda key: (isinstance(key, str), key))
        return {key: figures_of(hits[key], answered[key], images[key]) for key in keys}

    def confusions(self) -> list[Confusion]:
        """Return the pairs of classes that are confused, the most frequent first."""
        wrong = (Confusion(*pair, count) for pair, count in self._pairs.items() if pair[0] != pair[1])
        return sorted(wrong, key=lambda each: (-each.images, str(each.truth), str(each.answer)))
