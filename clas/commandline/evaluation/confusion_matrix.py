"""The part of a confusion matrix that people can read: of 1000 classes only what is confused."""

from typing import NamedTuple

from .single_label import ClassKey, SingleLabel


class MatrixRow(NamedTuple):
    """The answers to the images of one class.

    Attributes:
        truth: Their class.
        counts: How many were answered with each class of the matrix, in its order.
        others: How many with another class, or none.
    """

    truth: ClassKey
    counts: list[int]
    others: int


class ConfusionMatrix(NamedTuple):
    """The answers to images of the classes that are confused most.

    Attributes:
        classes: Those of the columns; what is confused with each other stands side by side.
        rows: One for each of them that images have.
        num_confused: How many classes are confused with others in all.
    """

    classes: list[ClassKey]
    rows: list[MatrixRow]
    num_confused: int


def matrix_of(single: SingleLabel, most: int) -> ConfusionMatrix:
    """Return the matrix of at most so many classes: those of the largest confusions."""
    confusions = single.confusions()
    found = dict.fromkeys(key for each in confusions for key in (each.truth, each.answer) if key is not None)
    shown = list(found)[:most]
    images = {key: figures.images for key, figures in single.classes().items()}
    rows = []
    for truth in shown:
        if images[truth]:
            counts = [single.count(truth, answer) for answer in shown]
            rows.append(MatrixRow(truth, counts, images[truth] - sum(counts)))
    return ConfusionMatrix(shown, rows, len(found))
