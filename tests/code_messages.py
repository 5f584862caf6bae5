"""Finds out whether a message that a document quotes can come from the code."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

ANYTHING: Final = "..."
"""What a document writes for a value."""
_HOLE: Final = "\0"
_JOINING: Final = ("\0: \0", "\0; \0", "\0 \0: \0")
"""Templates without a word that are taken all the same."""
_WORD: Final = re.compile(r"[A-Za-z]{2}")
_PERCENT: Final = re.compile(r"%[-+#0-9.]*[sdrgfx]")
_VALUE: Final = re.compile(r"[A-Z]+(, [A-Z]+)*|\d[\d.]*|\[[\w, .]*\]|'[\w.]*'|[^\w]*")
"""Examples of values: words in capitals, a number, a list, a quoted name; or punctuation alone."""


class CodeMessages:
    """The texts in the string constants of Python files, docstrings left out.

    An f-string, a logging format and a sum of strings are templates with holes, into which other texts go.

    Args:
        files: The Python files.
        others: Texts that come from elsewhere, such as a library.
    """

    def __init__(self, files: Iterable[Path], others: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        templates = {text.replace(ANYTHING, _HOLE) for text in others}
        for file in files:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            templates.update(_PERCENT.sub(_HOLE, text) for text in _texts(tree))
            self._names.update(_names(tree))
        self._templates = [text for text in templates if _WORD.search(text) or text in _JOINING]
        self.has = cache(self._has)

    def _has(self, message: str) -> bool:
        """Whether a template gives the message, shortened by `...` or with texts and values in its holes."""
        if message == ANYTHING or message in self._names or _VALUE.fullmatch(message):
            return True
        if _WORD.search(message):
            shortened = re.compile(".*".join(map(re.escape, message.split(ANYTHING))), re.DOTALL)
            if any(shortened.fullmatch(template) for template in self._templates):
                return True
        return any(
            all(hole != message and self.has(hole) for hole in holes)
            for parts in (template.split(_HOLE) for template in self._templates)
            if all(part in message for part in parts)
            for holes in _fillings(parts, message)
        )


def _texts(tree: ast.Module) -> Iterator[str]:
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if id(node) not in statements and (text := _text(node)):
            yield text


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or _HOLE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else (left or _HOLE) + (right or _HOLE)
    return None


def _names(tree: ast.Module) -> Iterator[str]:
    """The names of variables and fields, which messages hold as `field.name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def _fillings(parts: list[str], message: str) -> Iterator[list[str]]:
    """What the holes between the parts would have to hold to give the message, in every possible way."""
    first, *rest = parts
    if not rest:
        if first == message:
            yield []
        return
    if not message.startswith(first):
        return
    message = message[len(first) :]
    if len(rest) == 1:
        if message.endswith(rest[0]):
            yield [message[: len(message) - len(rest[0])]]
        return
    start = message.find(rest[0])
    while start >= 0:
        for others in _fillings(rest, message[start:]):
            yield [message[:start], *others]
        start = message.find(rest[0], start + 1) if rest[0] else (start + 1 if start < len(message) else -1)
