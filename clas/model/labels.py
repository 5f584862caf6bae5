"""Reads label files in the common formats."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import LabelFileError

_SHOWN: Final = 80
_FEWEST_NAMES: Final = 2  # a classifier has two classes at least
_NUMBERED: Final = re.compile(r"([0-9]{1,9})[ \t]+(\S.*)", re.DOTALL)


def load_labels(path: Path) -> dict[int, str]:
    """Read a label file, in UTF-8 with or without a byte order mark.

    Formats: one `<id> <name>` per line; one name per line, the first for class 0; or JSON with a list of
    names, an object {"<id>": "<name>"} or an object {"<name>": <id>}. A text file has the format
    `<id> <name>` if at least half of its lines match it. Blank lines are ignored, except between lines that
    are names only, where they would shift the ids.

    Returns:
        Class id -> name.

    Raises:
        LabelFileError: The file can't be read or is malformed; the message names the file and the place.
    """
    text = _read(path)
    if text.lstrip()[:1] in ("[", "{"):
        return _of_json(path, text)
    lines = [line.strip() for line in text.split("\n")]
    filled = [line for line in lines if line]
    numbered = sum(1 for line in filled if _NUMBERED.fullmatch(line))
    if len(filled) < _FEWEST_NAMES or 2 * numbered >= len(filled):
        return _of_numbered(path, lines)
    return _of_names(path, lines)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as exc:
        raise LabelFileError(f"the label file {path} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1  # the byte order mark has no newline
        raise LabelFileError(
            f"the label file {path} isn't UTF-8: {exc.reason} at byte {exc.start}, in line {line}; "
            "save it as UTF-8"
        ) from exc


def _of_numbered(path: Path, lines: Sequence[str]) -> dict[int, str]:
    labels: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        found = _NUMBERED.fullmatch(line)
        if not found or int(found[1]) in labels:
            raise LabelFileError(
                f"the label file {path} is malformed in line {number}: {line[:_SHOWN]!r}; "
                "a line takes '<id> <name>', each id once"
            )
        labels[int(found[1])] = found[2]
    return labels


def _of_names(path: Path, lines: Sequence[str]) -> dict[int, str]:
    count = max(number for number, line in enumerate(lines, start=1) if line)
    if "" in lines[:count]:
        raise LabelFileError(
            f"the label file {path} is malformed in line {lines.index('') + 1}: it is blank, "
            "which would shift the ids of the names after it; remove the line"
        )
    return dict(enumerate(lines[:count]))


def _of_json(path: Path, text: str) -> dict[int, str]:
    try:
        content: Any = json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as exc:
        raise LabelFileError(
            f"the label file {path} is not valid JSON: {exc.msg}, in line {exc.lineno}; "
            "a file that begins with [ or { must have a list of names, or an object of ids and names"
        ) from exc
    except (_DuplicateKeyError, RecursionError, ValueError) as exc:  # a number with too many digits
        raise LabelFileError(f"the label file {path} is malformed: {exc}") from exc
    entries: Mapping[object, object] = content if isinstance(content, dict) else dict(enumerate(content))
    labels: dict[int, str] = {}
    for key, value in entries.items():
        class_id, name = (value, key) if type(value) is int else (key, value)
        if isinstance(class_id, str) and re.fullmatch("[0-9]{1,9}", class_id):
            class_id = int(class_id)
        if type(class_id) is not int or class_id < 0 or not isinstance(name, str) or not name.strip():
            shown = f"{key!r}: {value!r}"[:_SHOWN]
            raise LabelFileError(
                f"the label file {path} is malformed at {shown}; a list takes names, an object ids and names"
            )
        if class_id in labels:
            raise LabelFileError(f"the label file {path} has the id {class_id} twice")
        labels[class_id] = name.strip()
    return labels


class _DuplicateKeyError(Exception):
    """Raised when an object in the file has the same key twice."""


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(f"the key {key[:_SHOWN]!r} occurs twice")
        found[key] = value
    return found
