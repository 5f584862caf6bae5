"""The identity of a model's files: an engine that is opened again must be of the same bytes.

Else, the engines of one service would answer in turn with different models, or one would be fed with what is
made for another.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import ModelChangedError, ModelLoadError

_CHUNK_BYTES: Final = 2**20
VERSION_DIGITS: Final = 12
"""Hexadecimal digits of a digest that are enough to tell people one model from another."""
_NO_FILE: Final = -1  # as its size

_Stamps = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What some files held, and how the file system described them just before that was read.

    Attributes:
        paths: The files; some may be missing.
        digest: BLAKE2 of their content, for which 100 MiB take 0.12 s of CPU time (SHA-256 takes 0.07 s where
            the CPU has instructions for it, and several times as long elsewhere).
        stamps: Of each file its inode, size, and times of change.
    """

    paths: tuple[Path, ...]
    digest: bytes
    stamps: _Stamps

    @property
    def version(self) -> str:
        """The beginning of the digest, as servers and `clas-batch` name a model by it."""
        return self.digest.hex()[:VERSION_DIGITS]

    def retake(self) -> "Fingerprint":
        """Take it again, before the files are loaded again.

        Raises:
            ModelChangedError: The files hold something else.
            ModelLoadError: One is there, but can't be read.
        """
        again = take_fingerprint(self.paths)
        if again.digest != self.digest:
            raise ModelChangedError(
                "the model's files have changed since the start: restart, "
                "or reload the standalone server by SIGHUP"
            )
        return again

    def check_untouched(self) -> None:
        """Check that the files are what they were when it was taken; called when they have been loaded.

        Raises:
            ModelLoadError: Somebody has written or replaced one meanwhile.
        """
        if self.stamps != _read_stamps(self.paths):
            raise ModelLoadError("the model's files were changed while they were loaded")


def take_fingerprint(paths: tuple[Path, ...]) -> Fingerprint:
    """Read files for their fingerprint.

    Raises:
        ModelLoadError: One is there, but can't be read.
    """
    stamps = _read_stamps(paths)
    digest = hashlib.blake2b()
    for path, stamp in zip(paths, stamps, strict=True):
        digest.update(b"%d\n" % (stamp[1] if stamp else _NO_FILE))  # so that no byte changes its file
        if stamp:
            for chunk in _read_chunks(path):
                digest.update(chunk)
    return Fingerprint(paths, digest.digest(), stamps)


def _read_chunks(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                yield buffer[:count]
    except OSError as exc:
        raise ModelLoadError(f"{path} can't be read: {exc.strerror}") from exc


def _read_stamps(paths: tuple[Path, ...]) -> _Stamps:
    return tuple(_read_stamp(path) for path in paths)


def _read_stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise ModelLoadError(f"{path} can't be read: {exc.strerror}") from exc
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
