"""How results are printed: text to read, JSON Lines or CSV to go on with."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..output.topk import Prediction

_CSV_COLUMNS: Final = ("file", "rank", "class_id", "label_name", "score", "error")


class Format(NamedTuple):
    """One way to print results.

    Attributes:
        header: Lines before the first result.
        lines: From a picture's name and its result to lines, without their ends.
    """

    header: tuple[str, ...]
    lines: Callable[[str, Prediction], Iterator[str]]


def text_lines(name: str, prediction: Prediction) -> Iterator[str]:
    """The name, then score, class id and label of each class; nothing for a picture that failed."""
    if "error" in prediction:
        return
    yield f"{name}:"
    for class_id, label, score in _classes(prediction):
        yield f"  {score:.5f}  {class_id:>4}  {label}".rstrip()


def json_lines(name: str, prediction: Prediction) -> Iterator[str]:
    """One JSON object: `file`, and the entry as the service answers it."""
    yield json.dumps({"file": name, **prediction}, ensure_ascii=False)


def csv_lines(name: str, prediction: Prediction) -> Iterator[str]:
    """A row for each class; for a picture without any, or one that failed with its `error`, one row."""
    if not prediction["class_ids"]:
        yield csv_row(name, "", "", "", "", prediction.get("error", ""))
    for rank, (class_id, label, score) in enumerate(_classes(prediction), start=1):
        yield csv_row(name, rank, class_id, label, score, "")


def _classes(prediction: Prediction) -> Iterator[tuple[int, str, float]]:
    """Class id, label and score of each class, best first; the label is empty where there are none."""
    labels = prediction["label_names"] or [""] * len(prediction["class_ids"])
    return zip(prediction["class_ids"], labels, prediction["scores"], strict=True)


def csv_row(*values: object) -> str:
    """One row of CSV, without the end of its line."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(values)
    return row.getvalue()


FORMATS: Final = {
    "text": Format((), text_lines),
    "json": Format((), json_lines),
    "csv": Format((csv_row(*_CSV_COLUMNS),), csv_lines),
}
"""What `--format` takes."""
