"""Precision, recall and F1, and their means."""

from collections.abc import Iterable
from typing import NamedTuple


class Figures(NamedTuple):
    """The figures of a class or a label, or their mean.

    Attributes:
        precision: Of the images that were answered with it, the share that has it.
        recall: Of the images that have it, the share that was answered with it.
        f1: The harmonic mean of both.
        images: How many images have it.
    """

    precision: float
    recall: float
    f1: float
    images: int


def figures_of(hits: int, answered: int, images: int) -> Figures:
    """Return the figures from counts; a share of nothing is 0.

    Args:
        hits: Images that have it, and were answered with it.
        answered: Images that were answered with it.
        images: Images that have it.
    """
    f1 = ratio(2 * hits, answered + images)
    return Figures(ratio(hits, answered), ratio(hits, images), f1, images)


def macro_mean(figures: Iterable[Figures]) -> Figures:
    """Return the mean in which each class counts once."""
    given = list(figures)
    return _mean(given, [1] * len(given))


def weighted_mean(figures: Iterable[Figures]) -> Figures:
    """Return the mean in which each class counts by its images."""
    given = list(figures)
    return _mean(given, [each.images for each in given])


def ratio(part: float, whole: float) -> float:
    """Return a share; 0 of nothing."""
    return part / whole if whole else 0.0


def _mean(figures: list[Figures], weights: list[int]) -> Figures:
    total = sum(weights)
    precision, recall, f1 = (
        ratio(sum(each[index] * weight for each, weight in zip(figures, weights, strict=True)), total)
        for index in range(3)
    )
    return Figures(precision, recall, f1, sum(each.images for each in figures))
