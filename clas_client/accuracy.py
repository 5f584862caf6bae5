"""How many answers are right, by a list of the true classes."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from clas.errors import ClasError

from .outcome import Outcome, Picture
from .report import LOGGER

_TOP: Final = 5
_MAX_ID_DIGITS: Final = 9
_SHOWN_CHARACTERS: Final = 80


class TruthError(ClasError):
    """Raised when a list of true classes can't be read; names file and line."""


class Truth:
    """The true classes of pictures.

    A path of the list is a picture's name (its path from --image_file on), that with the name of the folder
    in front, its absolute path, or its path from the list's folder or the current one on.

    Args:
        file: `path id` a line, UTF-8; the path may have spaces in it.

    Raises:
        TruthError: It can't be read, or a line is something else.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        parent = os.path.abspath(file.parent)  # noqa: PTH100  # as it is called; the next is where that is
        self._directories = dict.fromkeys([parent, os.path.realpath(parent), str(Path.cwd())])
        self._class_ids = _read(file)

    def class_id(self, picture: Picture) -> int | None:
        """The true class of a picture; None if the list doesn't have it."""
        return next((self._class_ids[key] for key in self._keys(picture) if key in self._class_ids), None)

    def _keys(self, picture: Picture) -> Iterator[str]:
        path = os.path.abspath(picture.path)  # noqa: PTH100  # a link's own name is the one that is listed
        root = Path(path.removesuffix(os.path.normpath(picture.name)))
        yield os.path.normpath(picture.name)
        yield os.path.join(root.name, picture.name)  # noqa: PTH118
        yield path
        directory, name = os.path.split(path)
        for start in self._directories:
            for place in (directory, os.path.realpath(directory)):
                with contextlib.suppress(ValueError):  # on another drive of Windows
                    yield os.path.normpath(os.path.join(os.path.relpath(place, start), name))  # noqa: PTH118


class Accuracy:
    """A keeper that counts how many answered pictures have their true class first, or among the best five.

    Args:
        truth: The true classes.
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._num_known = 0
        self._num_unknown = 0
        self._num_right = {1: 0, _TOP: 0}
        self._fewest_classes = _TOP

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count one batch; failed pictures don't count."""
        for picture, prediction in outcomes:
            if "error" in prediction:
                continue
            true_id = self._truth.class_id(picture)
            if true_id is None:
                self._num_unknown += 1
                continue
            class_ids = prediction["class_ids"]
            self._num_known += 1
            self._fewest_classes = min(self._fewest_classes, len(class_ids))
            for top in self._num_right:
                self._num_right[top] += true_id in class_ids[:top]

    def close(self, summary: Sequence[str]) -> None:
        """There is nothing to close."""

    def summary(self) -> list[str]:
        """The lines to print; says on stderr what is missing for more."""
        if self._num_unknown:
            LOGGER.warning("%s has no class for %d answered images", self._truth.file, self._num_unknown)
        if not self._num_known:
            return []
        if self._fewest_classes < _TOP:
            LOGGER.warning(
                "top-5 accuracy takes answers of 5 classes; there was one of %d: if the model has as many, "
                "send --top_k 5, or set topk of the service",
                self._fewest_classes,
            )
        shown = [top for top in self._num_right if top == 1 or self._fewest_classes >= top]
        return [
            f"The top-{top} accuracy: {self._num_right[top] / self._num_known:.3f} "
            f"({self._num_right[top]} of {self._num_known} images)"
            for top in shown
        ]


def _read(file: Path) -> dict[str, int]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as exc:
        raise TruthError(f"the label file {file} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise TruthError(f"the label file {file} isn't UTF-8: {exc.reason} at byte {exc.start}") from exc
    class_ids: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        path, class_id = _parse(line.strip(), f"{file}, line {number}")
        if class_ids.setdefault(path, class_id) != class_id:
            raise TruthError(
                f"{file}, line {number}: {path} is of class {class_id} here, "
                f"and was of {class_ids[path]} before"
            )
    if not class_ids:
        raise TruthError(f"the label file {file} is empty; it takes path id a line")
    return class_ids


def _parse(line: str, where: str) -> tuple[str, int]:
    path, *rest = line.rsplit(maxsplit=1)
    class_id = rest[0] if rest else ""
    if not (class_id.isascii() and class_id.isdecimal()) or len(class_id) > _MAX_ID_DIGITS:
        raise TruthError(
            f"{where}: {line[:_SHOWN_CHARACTERS]!r} isn't path id, of which the id is a whole number"
        )
    return os.path.normpath(path), int(class_id)
