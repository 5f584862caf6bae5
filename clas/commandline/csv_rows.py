r"""Results as CSV, a line per image.

It has columns for classes, and before the last one those of the form of results: the texts of attributes,
the label of each group, or a number; features have none. In a text, a backslash is doubled, `\n` and `\r`
stand for line ends, `\uXXXX` for another control character, `\udcXX` for the byte XX of a name that isn't
UTF-8, and a backslash precedes what a spreadsheet would take for a formula; lists are JSON.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

from ..output.base import Prediction, failed_prediction
from ..result_settings import ATTRIBUTE_FORMS
from .cells import csv_cells, csv_line, escape_cell, unescape_cell
from .rows import RowFormat, checked

CSV_COLUMNS: Final = (
    "file",
    "class_id",
    "label_name",
    "score",
    "class_ids",
    "label_names",
    "scores",
    "error",
)
"""Class id, label and score of the best class; then those of all, as JSON lists; then why there are none."""
JOINT: Final = "; "
"""Between the texts of attributes."""

_LISTS: Final[tuple[Literal["class_ids", "label_names", "scores"], ...]] = (
    "class_ids",
    "label_names",
    "scores",
)
_ATTRIBUTES: Final = ("attributes",)
_VALUE: Final = ("value",)


def columns_of(prediction: Prediction) -> tuple[str, ...]:
    """Return the columns that the form of a result has: of all groups their names."""
    if "groups" in prediction:
        return tuple(prediction["groups"])
    return _ATTRIBUTES if "attributes" in prediction else _VALUE if "value" in prediction else ()


def columns_for(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that the results of a model have, by what it says of itself."""
    form = model["main_indicator"]
    if form == "groups":
        return tuple(group["name"] for group in model["postprocess"]["groups"])
    return _ATTRIBUTES if form in ATTRIBUTE_FORMS else _VALUE if form == "ScoreOutput" else ()


def csv_with(columns: Sequence[str]) -> RowFormat:
    """Return CSV with these columns of a form, as from `columns_of` or `columns_for`."""
    header = csv_line([*CSV_COLUMNS[:-1], *map(escape_cell, columns), CSV_COLUMNS[-1]])
    return RowFormat(header, partial(_write, tuple(columns)), partial(_read, tuple(columns)))


def csv_by(header: str) -> RowFormat:
    """Return the CSV that has this header.

    Raises:
        ValueError: None has it.
    """
    found = csv_with([unescape_cell(name) for name in csv_cells(header)[len(CSV_COLUMNS) - 1 : -1]])
    if found.header != header:
        raise ValueError(header)
    return found


def _write(columns: Sequence[str], name: str, prediction: Prediction) -> str:
    class_ids, names, scores = (prediction[key] for key in ("class_ids", "label_names", "scores"))
    cells = [
        escape_cell(name),
        str(class_ids[0]) if class_ids else "",
        escape_cell(str(names[0])) if names else "",
        str(scores[0]) if scores else "",
        *(json.dumps(each, ensure_ascii=False) for each in (class_ids, names, scores)),
        *(escape_cell(_own_cell(column, prediction)) for column in columns),
        escape_cell(prediction.get("error", "")),
    ]
    return csv_line(cells)


def _own_cell(column: str, prediction: Prediction) -> str:
    groups = prediction.get("groups", {})
    if column in groups:
        return groups[column]["label"]
    if column == "attributes":
        texts = prediction.get("attributes", "")
        return texts if isinstance(texts, str) else JOINT.join(texts)
    return str(prediction["value"]) if column == "value" and "value" in prediction else ""


def _read(columns: Sequence[str], line: str) -> tuple[str, Prediction]:
    name, *cells = csv_cells(line) or [""]
    if len(cells) != len(CSV_COLUMNS) - 1 + len(columns):
        raise ValueError(line)
    name, error = unescape_cell(name), unescape_cell(cells[-1])
    if error:
        return name, failed_prediction(error)
    lists: dict[str, Any] = {key: json.loads(cell) for key, cell in zip(_LISTS, cells[3:6], strict=True)}
    own = _own_fields(columns, [unescape_cell(cell) for cell in cells[6:-1]], checked(lists))
    return name, checked({**lists, **own})


def _own_fields(columns: Sequence[str], cells: Sequence[str], lists: Prediction) -> dict[str, object]:
    """Return what the columns of the form say; of groups, the lists say all but their names."""
    if columns == _ATTRIBUTES:
        return {"attributes": cells[0].split(JOINT)} if cells[0] else {}
    if columns == _VALUE:
        return {"value": float(cells[0])} if cells[0] else {}
    if not columns or any(len(columns) != len(lists[key]) for key in _LISTS):
        return {}
    answers = zip(columns, lists["label_names"], lists["class_ids"], lists["scores"], strict=True)
    return {
        "groups": {
            column: {"label": label, "class_id": class_id, "score": score}
            for column, label, class_id, score in answers
        }
    }


CSV: Final = csv_with(())
"""CSV for classes."""
