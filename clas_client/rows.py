r"""A result as one line of a file, and back: JSON Lines and CSV.

A line is a whole result, whatever is in a picture's name: a line without its end is one that was cut off.
JSON has its own escapes. In CSV, a backslash in a text is doubled, `\n` and `\r` are line ends, `\udcXX` is
the byte XX of a name that isn't UTF-8, and a backslash stands before what a spreadsheet would take for a
formula; the lists are JSON as it is.
"""

import csv
import json
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from clas.commandline.formats import csv_row
from clas.output.topk import Prediction, failed_prediction

from .answer import is_prediction

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
    """One way to write results.

    Attributes:
        header: What the file begins with.
        write: From a picture's name and entry to a line, with its end.
        read: The way back; raises ValueError for any other line.
    """

    header: bytes
    write: Callable[[str, Prediction], bytes]
    read: Callable[[str], tuple[str, Prediction]]


def _write_json(name: str, prediction: Prediction) -> bytes:
    text = json.dumps({"file": name, **prediction}, ensure_ascii=False)
    return _encode(text)  # what UTF-8 doesn't have becomes an escape that JSON knows


def _read_json(line: str) -> tuple[str, Prediction]:
    row: Any = json.loads(line)
    name = row.pop("file", None) if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise ValueError(line)  # noqa: TRY004  # it is the text that is wrong
    return name, _checked(row)


def _write_csv(name: str, prediction: Prediction) -> bytes:
    class_ids, names, scores = (prediction[key] for key in ("class_ids", "label_names", "scores"))
    cells = {
        "file": _escape(name),
        "class_id": str(class_ids[0]) if class_ids else "",
        "label_name": _escape(str(names[0])) if names else "",
        "score": str(scores[0]) if scores else "",
        **{key: json.dumps(prediction[key], ensure_ascii=False) for key in _LISTS},
        "error": _escape(prediction.get("error", "")),
    }
    return _encode(csv_row(*(cells[column] for column in CSV_COLUMNS)))


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


def _checked(entry: dict[str, Any]) -> Prediction:
    if not is_prediction(entry) or not isinstance(entry.get("error", ""), str):
        raise ValueError(entry)
    return entry  # type: ignore[return-value]


def _encode(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _escape(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"\\{escaped}" if escaped.startswith(_FORMULA_STARTS) else escaped


def _unescape(text: str) -> str:
    def character(found: "re.Match[str]") -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _LINE_ENDS.get(code, code)

    return _ESCAPED.sub(character, text)


# The mark at the start tells a spreadsheet that this is UTF-8.
FORMATS: Final = {
    ".csv": RowFormat(b"\xef\xbb\xbf" + _encode(csv_row(*CSV_COLUMNS)), _write_csv, _read_csv),
    ".jsonl": RowFormat(b"", _write_json, _read_json),
}
"""By the ending of the file's name."""
