"""The true classes of images, from a list of them or from the folders in which they are."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Final, Protocol

from .errors import EvaluationError
from .truth_file import Kind, Truth, read_truth_file

Locate = Callable[[str], tuple[Path, str]]
"""From an image's name to the folder that was given, and the image's path from there on."""

_NO_CLASSES: Final = (".", "@", "__MACOSX")  # beginnings of the names of folders that systems make


class GroundTruth(Protocol):
    """The true classes of images; safe to ask from several threads.

    Attributes:
        source: Where they come from, for messages.
        kind: How they are written.
        num_labels: With Kind.LABELS, how many labels there are; else 0.
    """

    source: str
    kind: Kind
    num_labels: int

    def of(self, name: str) -> Truth | None:
        """Return the true class or labels of an image; None if it isn't known."""

    def num_unused(self) -> int:
        """Return how many of the images that have a true class weren't asked for."""


class ListedTruth:
    """The true classes of a list.

    A path in the list is an image's path from the folder that was given, the same with the folder's name in
    front, its absolute path, or its path from the list's folder or the current one on. About 170 bytes of
    memory are kept for each.

    Args:
        file: See `read_truth_file`.
        locate: Finds an image's folder.

    Raises:
        EvaluationError: The file can't be read, or a line is invalid.
    """

    def __init__(self, file: Path, locate: Locate) -> None:
        self.source = str(file)
        self._locate = locate
        parent = os.path.abspath(file.parent)  # noqa: PTH100  # a link's own path is the one that is listed
        self._directories = dict.fromkeys([parent, os.path.realpath(parent), str(Path.cwd())])
        self.kind, self.num_labels, truths = read_truth_file(file)
        self._rows = {path: row for row, path in enumerate(truths)}
        self._truths = list(truths.values())
        self._was_asked = bytearray(len(truths))

    def of(self, name: str) -> Truth | None:
        """Return the true class or labels of an image; None if it isn't listed."""
        row = next((self._rows[key] for key in self._keys(name) if key in self._rows), None)
        if row is None:
            return None
        self._was_asked[row] = True
        return self._truths[row]

    def num_unused(self) -> int:
        """Return how many of the listed images weren't asked for."""
        return self._was_asked.count(0)

    def _keys(self, name: str) -> Iterator[str]:
        root, inner = self._locate(name)
        yield os.path.normpath(inner)
        root_path = os.path.abspath(root)  # noqa: PTH100
        path = os.path.normpath(os.path.join(root_path, inner))  # noqa: PTH118
        yield os.path.normpath(os.path.join(os.path.basename(root_path), inner))  # noqa: PTH118, PTH119
        yield path
        directory, file_name = os.path.split(path)
        for start in self._directories:
            for place in (directory, os.path.realpath(directory)):
                with contextlib.suppress(ValueError):  # on another drive of Windows
                    yield os.path.normpath(os.path.join(os.path.relpath(place, start), file_name))  # noqa: PTH118


class FolderTruth:
    """The true classes by the folder, below the given one, in which an image is: its name is the class.

    The names are ids if all of them are whole numbers, else names of classes.

    Args:
        roots: The folders that hold a folder for each class.
        locate: Finds an image's folder.

    Raises:
        EvaluationError: There is no folder for a class.
    """

    num_labels = 0

    def __init__(self, roots: Sequence[Path], locate: Locate) -> None:
        self.source = ", ".join(map(str, roots))
        self._locate = locate
        self._folders = {name for root in roots for name in _folders(root)}
        if not self._folders:
            raise EvaluationError(
                f"{self.source} has no folders; --labels_from_folders takes one for each class"
            )
        are_ids = all(name.isascii() and name.isdecimal() for name in self._folders)
        self.kind = Kind.ID if are_ids else Kind.NAME

    def of(self, name: str) -> Truth | None:
        """Return the true class of an image; None if it is in no folder of a class."""
        _, inner = self._locate(name)
        parts = PurePath(os.path.normpath(inner)).parts
        if len(parts) == 1 or parts[0] not in self._folders:
            return None
        return int(parts[0]) if self.kind is Kind.ID else parts[0]

    def num_unused(self) -> int:
        """Return 0: it is the images that say which classes there are."""
        return 0


def _folders(root: Path) -> Iterator[str]:
    try:
        with os.scandir(root) as entries:
            yield from (
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(_NO_CLASSES)
            )
    except OSError as exc:
        raise EvaluationError(f"{root} can't be read: {exc.strerror}") from exc


def locate_in(root: Path) -> Locate:
    """Return the `Locate` for images that are named from one folder on."""
    return lambda name: (root, name)


def locate_below(paths: Sequence[Path]) -> Locate:
    """Return the `Locate` for images named by paths that begin with one of those that were given."""
    roots = [path if path.is_dir() else path.parent for path in paths]

    def locate(name: str) -> tuple[Path, str]:
        path = PurePath(name)
        root = next((root for root in roots if path.is_relative_to(root)), None)
        return (root, str(path.relative_to(root))) if root is not None else (Path(), name)

    return locate
