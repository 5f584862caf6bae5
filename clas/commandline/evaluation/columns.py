"""Adds the columns `truth` and `correct` to a format of results."""

import json
from collections.abc import Callable
from typing import Any, Final, cast

from ...output.base import Prediction
from ..cells import csv_cells, csv_line, escape_cell
from ..rows import RowFormat
from .evaluation import Verdict

COLUMNS: Final = ("truth", "correct")
"""The true class or labels, and whether the best class, or all labels, are right."""

Judge = Callable[[str, Prediction], Verdict]


def with_truth(rows: RowFormat, judge: Judge) -> RowFormat:
    """Return a format of results with the columns.

    CSV has them last: `truth` is a class, or labels as a JSON list, and `correct` is `true` or `false`; what
    isn't known is empty, and null in JSON. Reading a line leaves them out.

    Args:
        rows: CSV, or objects of JSON.
        judge: Asked for what is written.
    """
    return _csv(rows, judge) if rows.header else _json(rows, judge)


def without_truth(prediction: Prediction) -> Prediction:
    """Return a result without the fields."""
    return cast("Prediction", {name: value for name, value in prediction.items() if name not in COLUMNS})


def csv_header(header: str) -> str:
    """Return the header of CSV with the columns."""
    return ",".join([header, *COLUMNS])


def add_to_csv(line: str, verdict: Verdict) -> str:
    """Return a line of CSV with the columns."""
    correct = "" if verdict.is_correct is None else json.dumps(verdict.is_correct)
    return ",".join([line, csv_line([escape_cell(verdict.shown), correct])])


def add_to_json(line: str, verdict: Verdict) -> str:
    """Return an object of JSON with the fields."""
    row: dict[str, Any] = json.loads(line)
    row |= dict(zip(COLUMNS, verdict, strict=True))
    return json.dumps(row, ensure_ascii=False)


def _csv(rows: RowFormat, judge: Judge) -> RowFormat:
    def write(name: str, prediction: Prediction) -> str:
        return add_to_csv(rows.write(name, prediction), judge(name, prediction))

    def read(line: str) -> tuple[str, Prediction]:
        return rows.read(csv_line(csv_cells(line)[: -len(COLUMNS)]))

    return RowFormat(csv_header(rows.header), write, read)


def _json(rows: RowFormat, judge: Judge) -> RowFormat:
    def write(name: str, prediction: Prediction) -> str:
        return add_to_json(rows.write(name, without_truth(prediction)), judge(name, prediction))

    def read(line: str) -> tuple[str, Prediction]:
        name, prediction = rows.read(line)
        return name, without_truth(prediction)

    return RowFormat("", write, read)
