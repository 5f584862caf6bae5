"""Reads the images of a part, one after the other."""

import errno
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO, Final, NamedTuple, cast

import pyarrow.parquet as pq
from pyarrow import ArrowException
from pyarrow.fs import FileType

from ....errors import ImageError
from ....image.files import IMAGE_SUFFIXES
from .inputs import Piece, from_folder_of
from .parquet_columns import bytes_of, find_columns
from .storage import Storage, is_uri, open_storage

_MOST_BYTES: Final = 2**30  # of one image file
_ROWS: Final = 16  # of a parquet file at a time
_BUFFER_BYTES: Final = 2**20
_MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


class Waiting(NamedTuple):
    """An image that waits for its turn.

    Attributes:
        name: Its name in the results.
        load: Returns the file; raises ImageError.
        num_bytes: Those of the file, if they are in memory already.
    """

    name: str
    load: Callable[[], bytes]
    num_bytes: int = 0


class Reader:
    """Reads images by the names that a part has.

    What isn't there is an image that fails; a storage that doesn't answer is an error, since later it may.

    Args:
        storage: That of the part's input.
        column: See `find_columns`.
    """

    def __init__(self, storage: Storage, column: str) -> None:
        self._storage = storage
        self._column = column

    def images(self, piece: Piece, lists: Storage) -> Iterator[Waiting]:
        """Yield the images of a part, each to be read when its turn comes; those of archives are read.

        Args:
            piece: The part.
            lists: Where the names of images are.

        Raises:
            OSError: The storage doesn't answer.
        """
        if piece.kind == "images":
            return map(self._named, _names(lists, piece.source))
        read = self._rows_of if piece.kind == "parquet" else self._members_of
        return self._until_damaged(read(piece), piece.source)

    def _until_damaged(self, images: Iterator[Waiting], file: str) -> Iterator[Waiting]:
        try:
            yield from images
        except (ArrowException, tarfile.TarError, EOFError, *_MISSING) as exc:
            yield Waiting(file, partial(_refuse, f"the rest of the file can't be read: {exc}"))

    def _named(self, name: str) -> Waiting:
        return Waiting(name, partial(self._load, name))

    def _load(self, name: str) -> bytes:
        head = self._storage.head  # a list may name what is elsewhere
        is_here = name.startswith(head) if head else not is_uri(name)
        storage = self._storage if is_here else open_storage(name)[0]
        try:
            return storage.read(name, _MOST_BYTES)
        except _MISSING as exc:
            raise ImageError(f"the file can't be read: {os.strerror(exc.errno or errno.ENOENT)}") from exc
        except OSError as exc:
            if storage.kind(name) is FileType.File:
                raise
            raise ImageError("it isn't a file") from exc

    def _rows_of(self, piece: Piece) -> Iterator[Waiting]:
        with self._storage.open(piece.source) as file:
            parquet = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            columns = find_columns(parquet.schema_arrow, self._column, piece.source)
            groups = range(piece.first_group, piece.first_group + piece.num_groups)
            row = sum(parquet.metadata.row_group(number).num_rows for number in range(piece.first_group))
            for batch in parquet.iter_batches(_ROWS, list(groups), columns.all):
                names = batch[columns.name].to_pylist() if columns.name else [None] * len(batch)
                for value, name in zip(batch[columns.image].to_pylist(), names, strict=True):
                    own_name = name or f"{piece.source}#{row}"
                    row += 1
                    if columns.has_bytes or value is None:
                        yield _loaded(own_name, bytes_of(value))
                    else:
                        yield self._named(from_folder_of(piece.source, value))

    def _members_of(self, piece: Piece) -> Iterator[Waiting]:
        with self._storage.open(piece.source) as file, _open_tar(file) as tar:
            for member in tar:
                if not member.isfile() or PurePosixPath(member.name).suffix.lower() not in IMAGE_SUFFIXES:
                    continue
                content = tar.extractfile(member)
                if content and not PurePosixPath(member.name).name.startswith("."):
                    yield _loaded(f"{piece.source}/{member.name}", content.read(_MOST_BYTES))
                tar.members = []  # type: ignore[attr-defined]  # it would remember them all


def _loaded(name: str, data: bytes | None) -> Waiting:
    return (
        Waiting(name, partial(_refuse, "there is no image"))
        if data is None
        else Waiting(name, lambda: data, len(data))
    )


class _Member(tarfile.TarInfo):
    """A member of a tar that ends where its end mark is; tarfile also takes a damaged head for the end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as exc:
            raise tarfile.ReadError(f"it ends or is damaged at byte {tarfile_.offset}") from exc


def _open_tar(file: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="r|*", bufsize=_BUFFER_BYTES, tarinfo=_Member)


def _names(lists: Storage, file: str) -> Iterator[str]:
    with lists.open(file) as lines:
        for line in lines:
            yield cast("str", json.loads(line))


def _refuse(reason: str) -> bytes:
    raise ImageError(reason)
