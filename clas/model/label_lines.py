"""Parses the lines of a label file: ids and names in either order, a table, or names only."""

import csv
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from .label_table import choose_names, is_header

SHOWN: Final = 80
"""The most characters of a file that a message repeats."""

_FEWEST_LABELS: Final = 2  # a classifier has two classes at least
_GAP: Final = "[ \t\u3000]"
_SEPARATORS: Final = {
    ",": ",，",
    ";": ";；",
    "|": "|｜",
    ":": ":：",
    "=": "=＝",
    "\t": "\t",
    " ": " \t\u3000",
}
"""Separator -> its forms; the full-width ones come from Chinese keyboards. `0 : cat` has a colon first."""
_OF_TABLES: Final = ",;|\t"
_NUMBERED_OTHERWISE: Final = re.compile(r"\W*(\d{1,9})[\W_]\s*\S.*", re.DOTALL)


class InvalidLabelsError(Exception):
    """Raised when a line is malformed; the message continues "the label file ... is malformed"."""


class Line(NamedTuple):
    """A line that isn't blank; the first one of a file has the number 1."""

    number: int
    text: str


class _Form(NamedTuple):
    """How a line holds an id and a name."""

    separator: str
    is_id_first: bool

    @property
    def wanted(self) -> str:
        return self.separator.join(["<id>", "<name>"] if self.is_id_first else ["<name>", "<id>"])

    def split(self, line: Line) -> tuple[int, str] | None:
        """Return the id, and the text beside it; None if the line doesn't have this form."""
        between = f"{_GAP}*[{re.escape(_SEPARATORS[self.separator])}]{_GAP}*"
        class_id = r'"?(?P<id>\d{1,9})"?'
        pattern = rf"{class_id}{between}(?P<rest>\S.*)"
        if not self.is_id_first:
            pattern = rf"(?P<rest>\S.*?){between}{class_id}"
        found = re.fullmatch(pattern, line.text, re.DOTALL)
        return (int(found["id"]), found["rest"]) if found else None


def parse_lines(lines: Sequence[str]) -> dict[int, str]:
    """Parse the lines of a label file.

    A line has an id and a name, with space, tab, comma, semicolon, colon, | or = between them; or a name and
    an id; or a name only, and then the first is of class 0. The file has the form that at least half of its
    lines have: names may hold separators, and begin or end with a number. The first line may be the header of
    a table. Blank lines are ignored, except between lines that are names only, where they would shift the
    ids.

    Args:
        lines: The text, cut at its line ends.

    Returns:
        Class id -> name.

    Raises:
        InvalidLabelsError: A line has another form, or it can't be told which form the file has.
    """
    filled = [Line(number, text) for number, line in enumerate(lines, start=1) if (text := line.strip())]
    form, count = _most_common(filled, is_id_first=True)
    if len(filled) < _FEWEST_LABELS or 2 * count >= len(filled):
        return _of_form(filled, form)
    form, count = _most_common(filled, is_id_first=False)
    body = _without_header(filled, form)
    if _has_ids_last(body, form) or (2 * count >= len(filled) and _is_table(body, form)):
        return _of_form(filled, form)
    return _of_names([line.strip() for line in lines], filled)


def _most_common(lines: Sequence[Line], *, is_id_first: bool) -> tuple[_Form, int]:
    """Return the form with the separator that most lines have, and how many have it."""
    counts = {
        form: sum(1 for line in lines if form.split(line))
        for separator in _SEPARATORS
        if (form := _Form(separator, is_id_first))
    }
    best = max(counts, key=lambda form: counts[form])  # the first of equals
    return (best, counts[best]) if counts[best] else (_Form(" ", is_id_first), 0)


def _without_header(lines: Sequence[Line], form: _Form) -> Sequence[Line]:
    has_header = bool(lines) and not form.split(lines[0]) and is_header(_cells(lines[0].text, form.separator))
    return lines[1:] if has_header else lines


def _has_ids_last(lines: Sequence[Line], form: _Form) -> bool:
    """Whether each line ends with its own id; names such as `windows 7` end with a number, too."""
    found = dict(split for line in lines if (split := form.split(line)))
    is_gapless = found.keys() in (set(range(len(lines))), set(range(1, len(lines) + 1)))
    return len(lines) >= _FEWEST_LABELS and is_gapless and len(set(found.values())) == len(lines)


def _is_table(lines: Sequence[Line], form: _Form) -> bool:
    """Whether a line with another form is malformed, rather than a name such as `Boeing, 737`."""
    ids = [split[0] for line in lines if (split := form.split(line))]
    return form.separator in _OF_TABLES and max(ids) <= len(lines)


def _of_form(lines: Sequence[Line], form: _Form) -> dict[int, str]:
    body = _without_header(lines, form)
    labels: dict[int, str] = {}
    for line in body:
        split = form.split(line)
        if not split or split[0] in labels:
            raise InvalidLabelsError(
                f" in line {line.number}: {line.text[:SHOWN]!r}; a line takes {form.wanted!r}, each id once"
            )
        labels[split[0]] = split[1]
    if form.separator not in _OF_TABLES:
        return labels
    heads = _cells(lines[0].text, form.separator) if len(body) < len(lines) else []
    cells = [_cells(rest, form.separator) for rest in labels.values()]
    names = choose_names(heads[1:] if form.is_id_first else heads[:-1], cells, list(labels.values()))
    if names is None:
        raise InvalidLabelsError(
            f": its lines have {len(cells[0]) + 1} columns, and it isn't said which of them has the names; "
            f"a line takes {form.wanted!r}, or the first line says 'id' and 'name'"
        )
    return dict(zip(labels, names, strict=True))


def _cells(text: str, separator: str) -> list[str]:
    """Return the cells of one row of a table, which may be quoted."""
    if separator == " ":
        return text.split()
    try:
        [cells] = csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):  # a quotation mark that isn't closed; a line end within the text
        return text.split(separator)
    return [cell.strip() for cell in cells]


def _of_names(lines: Sequence[str], filled: Sequence[Line]) -> dict[int, str]:
    count = filled[-1].number
    if "" in lines[:count]:
        raise InvalidLabelsError(
            f" in line {lines.index('') + 1}: it is blank, "
            "which would shift the ids of the names after it; remove the line"
        )
    numbers = [int(found[1]) for line in filled if (found := _NUMBERED_OTHERWISE.fullmatch(line.text))]
    if numbers in (list(range(count)), list(range(1, count + 1))):
        raise InvalidLabelsError(
            f" in line 1: {filled[0].text[:SHOWN]!r}; the lines are numbered, but in no form that is read: "
            "a line takes '<id> <name>'"
        )
    if is_header(re.split(r"[,;|\t]", filled[0].text)):
        raise InvalidLabelsError(
            f" in line 1: {filled[0].text[:SHOWN]!r} is the header of a table; "
            "its first or its last column must have the ids"
        )
    return dict(enumerate(lines[:count]))
