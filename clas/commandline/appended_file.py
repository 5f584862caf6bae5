"""A file that grows by whole pieces, so that a client which is killed leaves only whole pieces."""

import contextlib
import os
from pathlib import Path

from ..errors import ClasError


class OutputError(ClasError):
    """Raised when a file of results can't be written, read or resumed."""


class AppendedFile:
    """A file to which pieces are appended, each by the time `append` returns.

    It isn't buffered: what was appended survives the process, however that ends.

    Args:
        path: The file.
        is_new: Whether to empty it.

    Raises (also later):
        OutputError: It can't be written; names file and reason.
    """

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self._path = path
        try:
            self._file = path.open("wb" if is_new else "ab", buffering=0)
        except OSError as exc:
            raise self._error(exc) from exc

    def append(self, piece: bytes) -> None:
        """Write one piece; if that fails, remove what was written of it."""
        try:
            size = os.fstat(self._file.fileno()).st_size
            left = memoryview(piece)
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                with contextlib.suppress(OSError):  # a pipe or a device
                    self._file.truncate(size)
                raise
        except OSError as exc:
            raise self._error(exc) from exc

    def close(self) -> None:
        """Close it; some file systems report a full disk only now."""
        try:
            self._file.close()
        except OSError as exc:
            raise self._error(exc) from exc

    def _error(self, exc: OSError) -> OutputError:
        return OutputError(f"{self._path} can't be written: {exc.strerror}")
