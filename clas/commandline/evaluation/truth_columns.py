"""Finds the columns of paths and of classes in the header of a table."""

import csv
from typing import Final, NamedTuple

PATHS: Final = (
    "file",
    "path",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "img",
)
"""Names of a column of paths, in lower case."""
_CLASSES: Final = (
    *("truth", "class_id", "class", "label", "labels", "label_id", "target", "category", "category_id"),
    *("id", "y", "y_true"),
)
_NAMES: Final = ("label_name", "class_name", "category_name", "name")


class Columns(NamedTuple):
    """Where a table has paths and classes.

    Attributes:
        delimiter: Between its cells.
        width: How many columns it has.
        path: The column of paths, from 0.
        truth: That of true classes.
        has_names: Whether the header says that these are names, whatever they look like.
        has_header: Whether the first line is one.
    """

    delimiter: str
    width: int
    path: int
    truth: int
    has_names: bool = False
    has_header: bool = False


def find_columns(line: str) -> Columns | None:
    """Return the columns that a header names; None if the line isn't one.

    Of several columns of classes, one with ids goes before one with names.
    """
    for delimiter in ",;\t":
        try:
            [cells] = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
        except (csv.Error, ValueError):  # no cells
            continue
        heads = [cell.strip().lower().replace(" ", "_") for cell in cells]
        path = next((head for head in PATHS if head in heads), None)
        truth = next((head for head in (*_CLASSES, *_NAMES) if head in heads), None)
        if path and truth:
            has_names = truth in _NAMES
            return Columns(
                delimiter, len(heads), heads.index(path), heads.index(truth), has_names, has_header=True
            )
    return None
