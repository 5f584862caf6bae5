"""The tables by which the web page says in Chinese what the server says in English."""

import re
from pathlib import Path
from typing import Final, NamedTuple

_ENTRY: Final = re.compile(r'^  \[(["`])(.+?)\1, "(.+)"\],$', re.MULTILINE)
_CONSTANT: Final = re.compile(r'^const (\w+) = "(.+)";$', re.MULTILINE)


class Entry(NamedTuple):
    """A pattern for a whole sentence, and its translation, in which {1} stands for the first group."""

    pattern: str
    translation: str


def read_table(script: Path) -> list[Entry]:
    """The table of a script of the page."""
    text = script.read_text(encoding="utf-8")
    for name, value in _CONSTANT.findall(text):
        text = text.replace(f"${{{name}}}", value)
    return [
        Entry(pattern.replace("\\\\", "\\"), translation) for _, pattern, translation in _ENTRY.findall(text)
    ]


def translate(table: list[Entry], sentence: str, used: set[Entry] | None = None) -> str:
    """As translator.js does it; `used` gets the entries that it took."""
    for entry in table:
        if found := re.fullmatch(entry.pattern, sentence):
            if used is not None:
                used.add(entry)
            translation = entry.translation
            for number, part in enumerate(found.groups(), 1):
                translation = translation.replace(f"{{{number}}}", translate(table, part, used))
            return translation
    return sentence
