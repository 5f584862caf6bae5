"""The file of --output: a line per image, from which --resume knows what is done."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import BinaryIO, Final

from clas.commandline.appended_file import AppendedFile, OutputError
from clas.commandline.csv_rows import CSV, CSV_COLUMNS, columns_of, csv_by, csv_with
from clas.commandline.evaluation.columns import Judge, csv_header, with_truth
from clas.commandline.rows import JSON_LINES, RowFormat
from clas.output.base import Prediction

from .log import LOGGER
from .sink import Outcome, Pending

FORMATS: Final[Mapping[str, RowFormat]] = {".csv": CSV, ".jsonl": JSON_LINES}
"""By the ending of the file's name; CSV with the columns of classes."""

_LONGEST_HEADER: Final = 2**20
_MOST_WAITING: Final = 10_000
_LINE_END: Final = b"\n"
_BYTE_ORDER_MARK: Final = "\ufeff"  # before a header, it marks the file as UTF-8 for spreadsheets


def key_of(name: str) -> str:
    """Return an image's name as it is in the file: with slashes on every system."""
    return PurePath(name).as_posix()


def encode_header(rows: RowFormat) -> bytes:
    """Return the bytes at the start of a file; none for a format without a header."""
    return encode_line(_BYTE_ORDER_MARK + rows.header) if rows.header else b""


def encode_line(line: str) -> bytes:
    """Return the bytes of a line, with its end."""
    return line.encode("utf-8", "backslashreplace") + _LINE_END


class ResultsFile:
    """A sink that appends a line per image, batch by batch.

    The first result says which columns CSV has; lines of images that failed before are written with it, or at
    the end.

    Args:
        path: The file; its ending says the format.
        resume: Keep the whole lines of images that have a result in the file; lines of failed images and a
            line that was cut off are removed, for these images are sent again.
        judge: Gives the columns `truth` and `correct`, also of lines that are kept; None for a file without.

    Attributes:
        done: Names, as from key_of, of the images that have a result in the file already.

    Raises:
        OutputError: The file exists (without `resume`), holds something else, or can't be written.
    """

    def __init__(self, path: Path, *, resume: bool, judge: Judge | None = None) -> None:
        self._path = Path(os.path.realpath(path))  # replacing a link would leave its target behind
        self._judge = judge
        self._plain_rows = FORMATS[path.suffix.lower()]
        self._rows = self._judged(self._plain_rows)
        self.done: set[str] = set()
        exists = self._holds_something()
        if exists and not resume:
            raise OutputError(
                f"{path} already exists: resume it with --resume, remove it, or name another file"
            )
        if exists:
            self._plain_rows = self._read_header()
            self._rows = self._judged(self._plain_rows)
            self._tidy()
        self._waiting: list[Outcome] | None = None if self.done or self._plain_rows is JSON_LINES else []
        self._has_warned = False
        self._file = AppendedFile(self._path, is_new=not self.done)

    def earlier(self) -> Iterator[tuple[str, Prediction]]:
        """Yield what the file holds before any `add`: each image once, by its name as in `done`."""
        if not self.done:
            return
        seen: set[str] = set()
        with self._path.open("rb") as file:
            for _, name, prediction in self._read_lines(file):
                if name not in seen:
                    seen.add(name)
                    yield name, prediction

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Append one batch."""
        first = next((each.prediction for each in outcomes if "error" not in each.prediction), None)
        if self._waiting is not None:
            self._waiting += [Outcome(Pending(image.name), prediction) for image, prediction in outcomes]
            if first is not None or len(self._waiting) > _MOST_WAITING:
                self._begin(first)
        else:
            self._file.append(self._lines(outcomes))
        if first is not None and not self._has_warned and self._plain_rows is not JSON_LINES:
            self._warn_of(first)

    def close(self, summary: Sequence[str]) -> None:  # noqa: ARG002  # the interface is Sink's
        """Close the file."""
        if self._waiting is not None:
            self._begin(None)
        self._file.close()

    def _judged(self, rows: RowFormat) -> RowFormat:
        return with_truth(rows, self._judge) if self._judge else rows

    def _begin(self, first: Prediction | None) -> None:
        """Write the header, with the columns of the first result, and the lines that waited for it."""
        if first is not None:
            self._plain_rows = csv_with(columns_of(first))
            self._rows = self._judged(self._plain_rows)
        self._file.append(encode_header(self._rows) + self._lines(self._waiting or ()))
        self._waiting = None

    def _warn_of(self, prediction: Prediction) -> None:
        """Log once that results have what the columns don't."""
        columns = columns_of(prediction)
        lacks_columns = bool(columns) and csv_with(columns).header != self._plain_rows.header
        if "feature" in prediction or lacks_columns:
            what = ", ".join(columns) or "features"
            LOGGER.warning("%s has no column for %s: name a .jsonl file, which has all", self._path, what)
            self._has_warned = True

    def _lines(self, outcomes: Sequence[Outcome]) -> bytes:
        lines = (self._rows.write(key_of(image.name), prediction) for image, prediction in outcomes)
        return b"".join(map(encode_line, lines))

    def _holds_something(self) -> bool:
        """Return whether a file holds more than a header, perhaps cut off; a pipe or a device never does."""
        header = encode_header(self._plain_rows)
        common = header.removesuffix(encode_line(CSV_COLUMNS[-1]))
        try:
            if not self._path.is_file():
                return False
            with self._path.open("rb") as file:
                start, rest = file.readline(_LONGEST_HEADER), file.read(1)
        except OSError as exc:
            raise OutputError(f"{self._path} can't be read: {exc.strerror}") from exc
        if header.startswith(start):
            return bool(rest)
        return not header or start.endswith(_LINE_END) or not start.startswith(common)

    def _read_header(self) -> RowFormat:
        """Return the format of the file that is there, without the columns of true classes."""
        if self._plain_rows is JSON_LINES:
            return JSON_LINES
        try:
            with self._path.open("rb") as file:
                line = file.readline(_LONGEST_HEADER)
            header = line.decode("utf-8").removeprefix(_BYTE_ORDER_MARK).removesuffix("\n")
            return csv_by(header.removesuffix(csv_header("")))
        except OSError as exc:
            raise OutputError(f"{self._path} can't be read: {exc.strerror}") from exc
        except ValueError:
            return self._plain_rows  # which `_read_lines` doesn't find

    def _tidy(self) -> None:
        """Replace the file atomically by a copy of its whole lines with a result, and note their names."""
        copy = self._path.with_name(f"{self._path.name}.tidied")
        try:
            with self._path.open("rb") as old, copy.open("wb") as new:
                new.write(encode_header(self._rows))
                for line, name, prediction in self._read_lines(old):
                    if "error" not in prediction:
                        self.done.add(name)
                        is_same = self._rows is self._plain_rows
                        new.write(line if is_same else encode_line(self._rows.write(name, prediction)))
                new.flush()
                os.fsync(new.fileno())
            shutil.copymode(self._path, copy)
            copy.replace(self._path)
        except OSError as exc:
            raise OutputError(f"{self._path} can't be resumed: {exc.strerror}") from exc
        finally:
            with contextlib.suppress(OSError):  # moved, unless something failed
                copy.unlink()

    def _read_lines(self, file: BinaryIO) -> Iterator[tuple[bytes, str, Prediction]]:
        """Yield the whole lines after the header, each with its name and result."""
        rows = self._format_of(file)
        header = encode_header(rows)
        if not header.startswith(start := file.read(len(header))):
            raise OutputError(f"{self._path} doesn't start with this client's header: name another file")
        if len(start) < len(header):
            return  # the client was killed while writing it
        for number, line in enumerate(file, start=2 if header else 1):
            if not line.endswith(_LINE_END):
                return
            try:
                name, prediction = rows.read(line.decode("utf-8")[:-1])
            except (ValueError, RecursionError) as exc:
                raise OutputError(
                    f"{self._path}, line {number} isn't a result of this client: name another file"
                ) from exc
            yield line, name, prediction

    def _format_of(self, file: BinaryIO) -> RowFormat:
        """Return the format of what is there: with the columns of true classes, or without."""
        plain = self._plain_rows
        judged = encode_line(_BYTE_ORDER_MARK + csv_header(plain.header))
        start = file.read(len(judged))
        file.seek(0)
        if start == judged and self._rows is plain:
            raise OutputError(
                f"{self._path} has the columns truth and correct: add --label_file or --labels_from_folders, "
                "or name another file"
            )
        is_plain = start.startswith(encode_header(plain))
        return plain if is_plain else self._rows
