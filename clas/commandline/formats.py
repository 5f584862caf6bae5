"""The formats of `python -m clas --format`: text to read, JSON Lines or CSV to process."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from ..output.base import Prediction
from .rows import CSV, JSON_LINES, RowFormat


class Format(NamedTuple):
    """One way to print results; lines are without their ends.

    Attributes:
        header: The line before the first result; empty for none.
        lines: From an image's name and result to lines.
    """

    header: str
    lines: Callable[[str, Prediction], Iterable[str]]


def text_lines(name: str, prediction: Prediction) -> Iterator[str]:
    """Yield the name, then score, class id and label of each class; nothing for an image that failed."""
    if "error" in prediction:
        return
    yield f"{name}:"
    labels = prediction["label_names"] or [""] * len(prediction["class_ids"])
    for class_id, label, score in zip(prediction["class_ids"], labels, prediction["scores"], strict=True):
        yield f"  {score:.5f}  {class_id:>4}  {label}".rstrip()


def _row_by_row(rows: RowFormat) -> Format:
    return Format(rows.header, lambda name, prediction: [rows.write(name, prediction)])


FORMATS: Final = {
    "text": Format("", text_lines),
    "json": _row_by_row(JSON_LINES),
    "csv": _row_by_row(CSV),
}
"""The values of `--format`."""
