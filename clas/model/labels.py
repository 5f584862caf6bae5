"""Reads label files in the common formats."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..errors import LabelFileError
from .label_lines import SHOWN, InvalidLabelsError, parse_lines

_PAIR: Final = 2  # Keras: ["n01440764", "tench"]


def load_labels(path: Path, read: Callable[[Path], bytes] = Path.read_bytes) -> dict[int, str]:
    """Read a label file, in UTF-8 with or without a byte order mark.

    Formats: lines of text, see `parse_lines`; JSON, or what Python prints: a list of names, an object
    {"<id>": "<name>"} or {"<name>": <id>}, or Keras' {"<id>": ["<WordNet id>", "<name>"]}.

    Args:
        path: The file.
        read: Returns its content; raises OSError.

    Returns:
        Class id -> name.

    Raises:
        LabelFileError: The file can't be read or is malformed; the message names the file and the place.
    """
    text = _decode(path, read)
    if text.lstrip()[:1] in ("[", "{"):
        return _of_entries(path, _parse(path, text))
    try:
        return parse_lines(text.split("\n"))
    except InvalidLabelsError as exc:
        raise LabelFileError(f"the label file {path} is malformed{exc}") from exc


def _decode(path: Path, read: Callable[[Path], bytes]) -> str:
    try:
        data = read(path)
        return data.decode("utf-8-sig")
    except OSError as exc:
        raise LabelFileError(f"the label file {path} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1  # the byte order mark has no newline
        raise LabelFileError(
            f"the label file {path} isn't UTF-8: {exc.reason} at byte {exc.start}, in line {line}; "
            "save it as UTF-8"
        ) from exc


def _parse(path: Path, text: str) -> Any:  # noqa: ANN401  # a list or a dictionary of anything
    """Parse JSON, or else a list or dictionary as Python prints it."""
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as exc:
        failure = exc
    except (_DuplicateKeyError, RecursionError, ValueError) as exc:  # a number with too many digits
        raise LabelFileError(f"the label file {path} is malformed: {exc}") from exc
    try:
        return _parse_python(text)
    except _DuplicateKeyError as exc:
        raise LabelFileError(f"the label file {path} is malformed: {exc}") from exc
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise LabelFileError(
            f"the label file {path} is not valid JSON: {failure.msg}, in line {failure.lineno}; "
            "a file that begins with [ or { must have a list of names, or an object of ids and names"
        ) from failure


def _parse_python(text: str) -> object:
    tree = ast.parse(text.strip(), mode="eval").body
    if not isinstance(tree, ast.Dict):
        return ast.literal_eval(tree)
    keys = [ast.literal_eval(key) for key in tree.keys if key is not None]
    values = [ast.literal_eval(value) for value in tree.values]
    return _unique_keys(list(zip(keys, values, strict=True)))


def _of_entries(path: Path, content: Any) -> dict[int, str]:  # noqa: ANN401  # as parsed
    entries: dict[object, object] = content if isinstance(content, dict) else dict(enumerate(content))
    labels: dict[int, str] = {}
    for key, value in entries.items():
        class_id, name = (value, key) if type(value) is int else (key, value)
        if isinstance(name, list | tuple) and len(name) == _PAIR and isinstance(content, dict):
            name = name[1]
        if isinstance(class_id, str) and re.fullmatch(r"\d{1,9}", class_id):
            class_id = int(class_id)
        if type(class_id) is not int or class_id < 0 or not isinstance(name, str) or not name.strip():
            shown = f"{key!r}: {value!r}"[:SHOWN]
            raise LabelFileError(
                f"the label file {path} is malformed at {shown}; a list takes names, an object ids and names"
            )
        if class_id in labels:
            raise LabelFileError(f"the label file {path} has the id {class_id} twice")
        labels[class_id] = name.strip()
    return labels


class _DuplicateKeyError(Exception):
    """Raised when an object in the file has the same key twice."""


def _unique_keys(pairs: list[tuple[Any, object]]) -> dict[object, object]:
    found: dict[object, object] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(f"the key {key!r:.{SHOWN}} occurs twice")
        found[key] = value
    return found
