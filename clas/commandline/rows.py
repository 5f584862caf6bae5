r"""A result as one line of text, and back: CSV and JSON Lines, for `python -m clas` and the client.

A line holds a whole result whatever an image's name contains, so a line without its end was cut off.
JSON has its own escapes. In a text of CSV, a backslash is doubled, `\n` and `\r` stand for line ends,
`\udcXX` for the byte XX of a name that isn't UTF-8, and a backslash precedes what a spreadsheet would take
for a formula; lists are JSON. Lines are encoded with errors="backslashreplace", which makes `\udcXX`.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from ..output.base import Prediction, failed_prediction, is_prediction

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

_LISTS: Final = ("class_ids", "scores", "label_names")
_MAX_CELL: Final = 2**31 - 1  # characters; a model may have many classes
_LINE_ENDS: Final = {"n": "\n", "r": "\r"}
_ESCAPED: Final = re.compile(r"\\(ud[89a-f][0-9a-f]{2}|.)", re.DOTALL)
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t")


class RowFormat(NamedTuple):
    """One way to write results, a line per image; lines are without their ends.

    Attributes:
        header: The line before the first result; empty for none.
        write: From an image's name and result to a line.
        read: From a line to the name and the result; raises ValueError for any other text.
    """

    header: str
    write: Callable[[str, Prediction], str]
    read: Callable[[str], tuple[str, Prediction]]


def _write_json(name: str, prediction: Prediction) -> str:
    named = {"file": name}
    row = named | prediction | named  # the name comes first, and isn't the service's to choose
    return json.dumps(row, ensure_ascii=False)


def _read_json(line: str) -> tuple[str, Prediction]:
    row: Any = json.loads(line)
    name = row.pop("file", None) if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise ValueError(line)  # noqa: TRY004  # it is the text that is invalid
    return name, _checked(row)


def _write_csv(name: str, prediction: Prediction) -> str:
    class_ids, names, scores = (prediction[key] for key in ("class_ids", "label_names", "scores"))
    cells = {
        "file": _escape(name),
        "class_id": str(class_ids[0]) if class_ids else "",
        "label_name": _escape(str(names[0])) if names else "",
        "score": str(scores[0]) if scores else "",
        **{key: json.dumps(prediction[key], ensure_ascii=False) for key in _LISTS},
        "error": _escape(prediction.get("error", "")),
    }
    return _csv_line([cells[column] for column in CSV_COLUMNS])


def _read_csv(line: str) -> tuple[str, Prediction]:
    csv.field_size_limit(_MAX_CELL)
    try:
        [cells] = csv.reader([line], strict=True)
    except csv.Error as exc:
        raise ValueError(line) from exc
    row = dict(zip(CSV_COLUMNS, cells, strict=True))
    name = _unescape(row["file"])
    if row["error"]:
        return name, failed_prediction(_unescape(row["error"]))
    return name, _checked({key: json.loads(row[key]) for key in _LISTS})


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _checked(entry: dict[str, Any]) -> Prediction:
    if not is_prediction(entry) or not isinstance(entry.get("error", ""), str):
        raise ValueError(entry)
    return entry  # type: ignore[return-value]


def _escape(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"\\{escaped}" if escaped.startswith(_FORMULA_STARTS) else escaped


def _unescape(text: str) -> str:
    def character(found: "re.Match[str]") -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _LINE_ENDS.get(code, code)

    return _ESCAPED.sub(character, text)


CSV: Final = RowFormat(_csv_line(CSV_COLUMNS), _write_csv, _read_csv)
JSON_LINES: Final = RowFormat("", _write_json, _read_json)
