"""The formats of `python -m clas --format`: text to read, JSON Lines or CSV to process."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ..output.base import Prediction
from .cells import shown_name
from .csv_rows import CSV, csv_with
from .rows import JSON_LINES, RowFormat


class Format(NamedTuple):
    """One way to print results; lines are without their ends.

    Attributes:
        header: The line before the first result; empty for none.
        lines: From an image's name and result to lines.
    """

    header: str
    lines: Callable[[str, Prediction], Iterable[str]]


def text_lines(name: str, prediction: Prediction) -> Iterator[str]:
    """Yield the name, then what the model says of the image; nothing for an image that failed.

    Of classes that is score, class id and label, each class in a line; of attributes their texts, of groups
    name, label and score, of a number the number, and of features how many they are.
    """
    if "error" in prediction:
        return
    yield f"{shown_name(name)}:"
    yield from (f"  {line}".rstrip() for line in own_lines(prediction) or _class_lines(prediction))


def own_lines(prediction: Prediction) -> list[str]:
    """Return what a result says besides classes, or in place of them, in lines to read; none for classes."""
    if "groups" in prediction:
        groups = prediction["groups"].items()
        return [f"{name}: {group['label']}  {group['score']:.5f}" for name, group in groups]
    if "attributes" in prediction:
        texts = prediction["attributes"]
        return [texts] if isinstance(texts, str) else texts
    if "value" in prediction:
        return [str(prediction["value"])]
    if "feature" not in prediction:
        return []
    feature = prediction["feature"]
    kind = "characters of base64" if isinstance(feature, str) else "numbers"
    return [f"a feature of {len(feature)} {kind}"]


def _class_lines(prediction: Prediction) -> Iterator[str]:
    labels = prediction["label_names"] or [""] * len(prediction["class_ids"])
    for class_id, label, score in zip(prediction["class_ids"], labels, prediction["scores"], strict=True):
        yield f"{score:.5f}  {class_id:>4}  {label}"


def _row_by_row(rows: RowFormat) -> Format:
    return Format(rows.header, lambda name, prediction: [rows.write(name, prediction)])


FORMATS: Final = {
    "text": Format("", text_lines),
    "json": _row_by_row(JSON_LINES),
    "csv": _row_by_row(CSV),
}
"""The values of `--format`, for classes."""


def format_for(name: str, columns: Sequence[str]) -> Format:
    """Return a format by its name, CSV with the columns of a form; see `columns_for`."""
    return _row_by_row(csv_with(columns)) if name == "csv" else FORMATS[name]
