"""A result as one line of text, and back, for `python -m clas` and the client; CSV is in csv_rows.py.

A line holds a whole result whatever an image's name contains, so a line without its end was cut off. JSON has
its own escapes, and all fields of a result. Lines are encoded with errors="backslashreplace".
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ..output.base import Prediction, is_prediction


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


def checked(entry: dict[str, Any]) -> Prediction:
    """Return what was read of a line as a result; raises ValueError if it is none."""
    if not is_prediction(entry) or not isinstance(entry.get("error", ""), str):
        raise ValueError(entry)
    return entry  # type: ignore[return-value]


def _write_json(name: str, prediction: Prediction) -> str:
    named = {"file": name}
    row: Mapping[str, object] = named | prediction | named  # the name comes first, and isn't the service's
    return json.dumps(row, ensure_ascii=False)


def _read_json(line: str) -> tuple[str, Prediction]:
    row: Any = json.loads(line)
    name = row.pop("file", None) if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise ValueError(line)  # noqa: TRY004  # it is the text that is invalid
    return name, checked(row)


JSON_LINES: Final = RowFormat("", _write_json, _read_json)
