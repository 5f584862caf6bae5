"""The true classes of images, from a list of them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clas.errors import ClasError

_MAX_ID_DIGITS: Final = 9
_SHOWN_CHARACTERS: Final = 80


class GroundTruthError(ClasError):
    """Raised when a list of true classes can't be read; names file and line."""


class GroundTruth:
    """The true classes of images.

    A path in the list is an image's name (its path from --image_file on), the same with the folder's name in
    front, its absolute path, or its path from the list's folder or the current one on.

    Args:
        file: `path id` per line, UTF-8; the path may contain spaces.
        root: The folder from which images are named.

    Raises:
        GroundTruthError: The file can't be read, or a line is invalid.
    """

    def __init__(self, file: Path, root: Path) -> None:
        self.file = file
        self._root = Path(os.path.abspath(root))  # noqa: PTH100  # a link's own path is the one that is listed
        parent = os.path.abspath(file.parent)  # noqa: PTH100  # likewise; the next is where the link points to
        self._directories = dict.fromkeys([parent, os.path.realpath(parent), str(Path.cwd())])
        self._class_ids = _read(file)

    def class_id(self, name: str) -> int | None:
        """Return the true class of an image; None if it isn't listed."""
        return next((self._class_ids[key] for key in self._keys(name) if key in self._class_ids), None)

    def _keys(self, name: str) -> Iterator[str]:
        path = os.path.normpath(self._root / name)
        yield os.path.normpath(name)
        yield os.path.join(self._root.name, name)  # noqa: PTH118
        yield path
        directory, file_name = os.path.split(path)
        for start in self._directories:
            for place in (directory, os.path.realpath(directory)):
                with contextlib.suppress(ValueError):  # on another drive of Windows
                    yield os.path.normpath(os.path.join(os.path.relpath(place, start), file_name))  # noqa: PTH118


def _read(file: Path) -> dict[str, int]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as exc:
        raise GroundTruthError(f"the label file {file} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise GroundTruthError(
            f"the label file {file} isn't UTF-8: {exc.reason} at byte {exc.start}"
        ) from exc
    class_ids: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        path, class_id = _parse(line.strip(), f"{file}, line {number}")
        if class_ids.setdefault(path, class_id) != class_id:
            raise GroundTruthError(
                f"{file}, line {number}: {path} has class {class_id} here, "
                f"but class {class_ids[path]} in an earlier line"
            )
    if not class_ids:
        raise GroundTruthError(f"the label file {file} is empty; it takes a path and a class id per line")
    return class_ids


def _parse(line: str, where: str) -> tuple[str, int]:
    path, *rest = line.rsplit(maxsplit=1)
    class_id = rest[0] if rest else ""
    if not (class_id.isascii() and class_id.isdecimal()) or len(class_id) > _MAX_ID_DIGITS:
        raise GroundTruthError(
            f"{where} is {line[:_SHOWN_CHARACTERS]!r}; it takes a path and a class id, a whole number"
        )
    return os.path.normpath(path), int(class_id)
