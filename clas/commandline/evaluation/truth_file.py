"""Reads a list of true classes: `path class` per line, or CSV, with ids, names, or 0 and 1 for each label."""

import csv
import enum
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ...image.files import IMAGE_SUFFIXES
from .errors import EvaluationError
from .truth_columns import Columns, find_columns

Truth = int | str | tuple[int, ...]
"""A class id, a class name, or the ids of all labels that an image has, ascending."""

SHOWN: Final = 80
"""The most characters of a file that a message repeats."""

_SUFFIX: Final = "|".join(re.escape(suffix) for suffix in sorted(IMAGE_SUFFIXES))
_IMAGE_THEN_NAME: Final = re.compile(rf"(.*(?:{_SUFFIX}))\s+(\S.*)", re.IGNORECASE | re.DOTALL)
_IMAGE_THEN_SEPARATOR: Final = re.compile(rf'.*(?:{_SUFFIX})"?\s*[,;]', re.IGNORECASE)
_THEN_LABELS: Final = re.compile(r"(.*\S)\s+([01](?:\s*,\s*[01])+)", re.DOTALL)
_LABELS: Final = re.compile(r"[01](?:\s*,\s*[01])+")
_ID: Final = re.compile(r"[0-9]{1,9}")
_WANTED: Final = "it takes a path and a class id, a whole number; or a class name, or 0 or 1 for each label"


class Kind(enum.Enum):
    """How true classes are written; the values are for messages."""

    ID = "a class id"
    NAME = "a class name"
    LABELS = "0 or 1 for each label"


class TruthList(NamedTuple):
    """A list of true classes.

    Attributes:
        kind: How they are written.
        num_labels: With Kind.LABELS, how many 0 and 1 each line has; else 0.
        truths: Path of an image -> its true class or labels.
    """

    kind: Kind
    num_labels: int
    truths: dict[str, Truth]


class _Row(NamedTuple):
    """A row that isn't blank; the class is still a text, of a kind that the head of its column may say."""

    number: int
    path: str
    text: str
    kind: Kind | None = None


def read_truth_file(file: Path) -> TruthList:
    """Read a list of true classes.

    Raises:
        EvaluationError: It can't be read, or a line is invalid; one line that names both.
    """
    text = _read(file)
    kind, first, num_labels = Kind.ID, 0, 0
    truths: dict[str, Truth] = {}
    parsed: dict[str, tuple[Kind, int, Truth]] = {}  # each text once: a million images share a few objects
    for row in _rows(file, text):
        if row.text not in parsed:
            parsed[row.text] = _parse(row, file)
        row_kind, width, truth = parsed[row.text]
        if not first:
            kind, first, num_labels = row_kind, row.number, width
        where = f"{file}, line {row.number}"
        if row_kind is not kind:
            raise EvaluationError(
                f"{where} has {row_kind.value}, {row.text[:SHOWN]!r}, but line {first} has {kind.value}; "
                "a list takes one of them throughout"
            )
        if width != num_labels:
            raise EvaluationError(f"{where} has {width} labels, but line {first} has {num_labels}")
        path = os.path.normpath(row.path)
        if truths.setdefault(path, truth) != truth:
            raise EvaluationError(
                f"{where}: {path} has class {_shown(truth)} here, "
                f"but class {_shown(truths[path])} in an earlier line"
            )
    if not truths:
        raise EvaluationError(f"the label file {file} is empty; it takes a path and a class per line")
    return TruthList(kind, num_labels, truths)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise EvaluationError(f"the label file {file} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise EvaluationError(f"the label file {file} isn't UTF-8: {exc.reason} at byte {exc.start}") from exc


def _rows(file: Path, text: str) -> Iterator[_Row]:
    first_line = text.lstrip().partition("\n")[0].strip()
    columns = find_columns(first_line)
    is_table = file.suffix.lower() in (".csv", ".tsv") or bool(_IMAGE_THEN_SEPARATOR.match(first_line))
    if columns:
        return _rows_of_table(file, text, columns)
    if not is_table or not first_line:
        return _rows_of_lines(file, text)
    delimiter = max(",;\t", key=first_line.count)
    if delimiter not in first_line or not _IMAGE_THEN_SEPARATOR.match(first_line.replace("\t", ",")):
        raise EvaluationError(
            f"{file}, line 1 is {first_line[:SHOWN]!r}; the header of a table names a column of paths, such "
            "as 'file', and one of classes: 'class_id' or 'label_name'"
        )
    return _rows_of_table(file, text, Columns(delimiter, 2, 0, 1))


def _rows_of_lines(file: Path, text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        path, name = _split(line.strip())
        if not path or not name:
            raise EvaluationError(f"{file}, line {number} is {line.strip()[:SHOWN]!r}; {_WANTED}")
        yield _Row(number, path, name)


def _split(line: str) -> tuple[str, str]:
    """Return path and class; paths may have spaces, and names of classes, too. The class may be missing."""
    if "\t" in line:
        path, _, name = line.rpartition("\t")
        return path.strip(), name.strip()
    *paths, last = line.rsplit(maxsplit=1)
    found = _THEN_LABELS.fullmatch(line)
    if not found and not _ID.fullmatch(last):
        found = _IMAGE_THEN_NAME.fullmatch(line)
    if found:
        return found[1], found[2]
    return (paths[0], last) if paths else (last, "")


def _rows_of_table(file: Path, text: str, columns: Columns) -> Iterator[_Row]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=columns.delimiter, skipinitialspace=True)
    filled = (cells for cells in rows if any(cell.strip() for cell in cells))
    kind = Kind.NAME if columns.has_names else None
    try:
        if columns.has_header:
            next(filled)
        for cells in filled:
            if len(cells) != columns.width:
                raise EvaluationError(
                    f"{file}, line {rows.line_num} has {len(cells)} columns, not {columns.width}"
                )
            path, name = cells[columns.path].strip(), cells[columns.truth].strip()
            if not path or not name:
                raise EvaluationError(f"{file}, line {rows.line_num} has no {'class' if path else 'path'}")
            yield _Row(rows.line_num, path, name, kind)
    except csv.Error as exc:
        raise EvaluationError(f"{file}, line {rows.line_num} isn't CSV: {exc}") from exc


def _parse(row: _Row, file: Path) -> tuple[Kind, int, Truth]:
    """Return kind, number of labels, and the class or the labels."""
    text = row.text
    if row.kind is Kind.NAME:
        return Kind.NAME, 0, text
    if _ID.fullmatch(text):
        return Kind.ID, 0, int(text)
    if _LABELS.fullmatch(text):
        bits = text.split(",")
        return Kind.LABELS, len(bits), tuple(number for number, bit in enumerate(bits) if bit.strip() == "1")
    is_name = any(character.isalpha() for character in text)
    if not is_name or Path(text).suffix.lower() in IMAGE_SUFFIXES:
        shown = f"{row.path} {text}"[:SHOWN]
        raise EvaluationError(f"{file}, line {row.number} is {shown!r}; {_WANTED}")
    return Kind.NAME, 0, text


def _shown(truth: Truth) -> str:
    return str(list(truth)) if isinstance(truth, tuple) else str(truth)
