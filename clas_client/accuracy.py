"""Computes accuracy from the true classes."""

from collections.abc import Sequence
from typing import Final

from .ground_truth import GroundTruth
from .log import LOGGER
from .sink import Outcome

_TOP: Final = 5


class Accuracy:
    """A sink that counts how many answered images have their true class first, or among the best five.

    Args:
        truth: The true classes.
    """

    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth
        self._num_known = 0
        self._num_unknown = 0
        self._num_right = {1: 0, _TOP: 0}
        self._fewest_classes = _TOP

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count one batch, without the failed images."""
        for image, prediction in outcomes:
            if "error" in prediction:
                continue
            true_id = self._truth.class_id(image.name)
            if true_id is None:
                self._num_unknown += 1
                continue
            class_ids = prediction["class_ids"]
            self._num_known += 1
            self._fewest_classes = min(self._fewest_classes, len(class_ids))
            for top in self._num_right:
                self._num_right[top] += true_id in class_ids[:top]

    def close(self, summary: Sequence[str]) -> None:
        """Do nothing: there is nothing to close."""

    def summary(self) -> list[str]:
        """Return the lines to print, and log what is missing for more of them."""
        if self._num_unknown:
            LOGGER.warning("%s has no class for %d answered images", self._truth.file, self._num_unknown)
        if not self._num_known:
            return []
        if self._fewest_classes < _TOP:
            LOGGER.warning(
                "top-5 accuracy needs 5 classes in each answer; one has %d: if the model has 5, "
                "use --top_k 5, or set topk of the service",
                self._fewest_classes,
            )
        shown = [top for top in self._num_right if top == 1 or self._fewest_classes >= top]
        return [
            f"The top-{top} accuracy: {self._num_right[top] / self._num_known:.3f} "
            f"({self._num_right[top]} of {self._num_known} images)"
            for top in shown
        ]
