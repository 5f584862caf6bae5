"""The file of --output: a line per picture, from which --resume knows what is done."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import BinaryIO, Final

from clas.output.topk import Prediction

from .appended_file import AppendedFile, OutputError
from .outcome import Outcome
from .rows import FORMATS, RowFormat

_LINE_END: Final = b"\n"


def key_of(name: str) -> str:
    """A picture's name as it is in the file: with slashes on every system."""
    return PurePath(name).as_posix()


class ResultsFile:
    """A keeper that appends a line per picture, batch by batch.

    Args:
        path: The file; its ending says the format.
        resume: Go on with what is there: whole lines of pictures with a result stay, a line that was cut off
            and those of failed pictures go, for these are sent again.

    Attributes:
        done: Names, as key_of gives them, of the pictures that have a result in the file already.

    Raises:
        OutputError: It is there already (without `resume`), holds something else, or can't be written.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = Path(os.path.realpath(path))  # replacing a link would leave its target behind
        self._format: RowFormat = FORMATS[path.suffix.lower()]
        self.done: set[str] = set()
        is_there = self._is_there()
        if is_there and not resume:
            raise OutputError(
                f"{path} is there already: go on with it by --resume, remove it, or name another file"
            )
        if is_there:
            self._tidy()
        self._file = AppendedFile(self._path, is_new=not is_there)
        if not is_there:
            self._file.append(self._format.header)

    def earlier(self) -> Iterator[tuple[str, Prediction]]:
        """What the file holds: each picture once, by its name as in `done`; to be asked before `add`."""
        seen: set[str] = set()
        with self._path.open("rb") as file:
            for _, name, prediction in self._rows(file):
                if name not in seen:
                    seen.add(name)
                    yield name, prediction

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Append one batch."""
        rows = (self._format.write(key_of(picture.name), entry) for picture, entry in outcomes)
        self._file.append(b"".join(rows))

    def close(self, summary: Sequence[str]) -> None:  # noqa: ARG002  # the interface is Keeper's
        """Close the file."""
        self._file.close()

    def _is_there(self) -> bool:
        """Whether there is a file with more in it than our header; a pipe or a device is always new."""
        try:
            if not self._path.is_file():
                return False
            with self._path.open("rb") as file:
                return not self._format.header.startswith(file.read(len(self._format.header) + 1))
        except OSError as exc:
            raise OutputError(f"{self._path} can't be read: {exc.strerror}") from exc

    def _tidy(self) -> None:
        """Put a copy of the whole lines with a result in the file's place, in one step; note the names."""
        copy = self._path.with_name(f"{self._path.name}.tidied")
        try:
            with self._path.open("rb") as old, copy.open("wb") as new:
                new.write(self._format.header)
                for line, name, prediction in self._rows(old):
                    if "error" not in prediction:
                        self.done.add(name)
                        new.write(line)
                new.flush()
                os.fsync(new.fileno())
            shutil.copymode(self._path, copy)
            copy.replace(self._path)
        except OSError as exc:
            raise OutputError(f"{self._path} can't be gone on with: {exc.strerror}") from exc
        finally:
            with contextlib.suppress(OSError):  # gone, if all went well
                copy.unlink()

    def _rows(self, file: BinaryIO) -> Iterator[tuple[bytes, str, Prediction]]:
        """The whole lines after the header: as they are, and what they say."""
        header = self._format.header
        if not header.startswith(start := file.read(len(header))):
            raise OutputError(f"{self._path} has another first line than a file of this client's")
        if len(start) < len(header):
            return  # killed while it was written
        for number, line in enumerate(file, start=2 if header else 1):
            if not line.endswith(_LINE_END):
                return
            try:
                name, prediction = self._format.read(line.decode("utf-8")[:-1])
            except (ValueError, RecursionError) as exc:
                raise OutputError(f"{self._path}, line {number}: this is no result of this client's") from exc
            yield line, name, prediction
