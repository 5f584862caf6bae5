"""What attributes and groups are made of: the best of some outputs, and those above their thresholds."""

from collections.abc import Iterable, Sequence


def best_of(scores: Sequence[float], places: Iterable[int]) -> int:
    """Return which of the outputs at `places` has the highest score; of equal ones, the first."""
    return max(places, key=scores.__getitem__)


def above(scores: Sequence[float], thresholds: Sequence[float]) -> list[int]:
    """Return for each output 1 if its score is above its threshold, else 0."""
    return [int(score > threshold) for score, threshold in zip(scores, thresholds, strict=True)]
