r"""The cells of a line of CSV: what may be in a text, and quoting; and names as a terminal shows them.

In a text, a backslash is doubled, `\n` and `\r` stand for line ends, `\uXXXX` for another control
character, `\udcXX` for the byte XX of a name that isn't UTF-8, and a backslash precedes what a spreadsheet
would take for a formula.
"""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

_MAX_CELL: Final = 2**31 - 1  # characters; a model may have many classes
_LINE_ENDS: Final = {"n": "\n", "r": "\r"}
_ESCAPED: Final = re.compile(r"\\(u[0-9a-f]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_TO_ESCAPE: Final = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of writing, and the bytes that aren't UTF-8."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@")


def visible(text: str) -> str:
    """Return a foreign text without line ends and control characters, which become escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def escape_cell(text: str) -> str:
    """Return a text as its cell has it."""
    escaped = _escaped(text)
    return f"\\{escaped}" if escaped.startswith(_FORMULA_STARTS) else escaped


def shown_name(name: str) -> str:
    """Return an image's name as a terminal shows it: escaped as in a cell, with slashes on every system."""
    return _escaped(PurePath(name).as_posix())


def _escaped(text: str) -> str:
    return _TO_ESCAPE.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def unescape_cell(text: str) -> str:
    """Return the text of a cell."""

    def character(found: "re.Match[str]") -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _LINE_ENDS.get(code, code)

    return _ESCAPED.sub(character, text)


def csv_line(cells: Sequence[str]) -> str:
    """Return a line, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def csv_cells(line: str) -> list[str]:
    """Return the cells of a line.

    Raises:
        ValueError: It isn't one line of CSV.
    """
    csv.field_size_limit(_MAX_CELL)
    try:
        [cells] = csv.reader([line], strict=True)
    except csv.Error as exc:
        raise ValueError(line) from exc
    return cells
