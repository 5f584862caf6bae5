"""Files by name, local or of an object store: what pyarrow's file systems reach."""

import contextlib
import io
import re
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from pyarrow import ArrowException
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from ....errors import SettingsError

_URI: Final = re.compile(r"(\w+)://([^/?]*)(/[^?]*|.*?)(\?\w+=.*)?", re.DOTALL)
_UNFINISHED: Final = "_unfinished"  # below the folder of a file


class Storage(NamedTuple):
    """A file system, and how files in it are named.

    Attributes:
        system: pyarrow's.
        head: What a name begins with, before the path in the file system; empty for local files.
    """

    system: FileSystem
    head: str

    def path(self, name: str) -> str:
        """Return the path in the file system."""
        return name.removeprefix(self.head)

    def entries(self, folder: str, *, below: bool = False) -> list[FileInfo]:
        """Return what a folder holds, in the order of names.

        Args:
            folder: Its name.
            below: Whether what its folders hold is listed, too.

        Raises:
            OSError: It can't be read.
        """
        selector = FileSelector(self.path(folder), allow_not_found=True, recursive=below)
        return sorted(self.system.get_file_info(selector), key=lambda info: cast("str", info.path))

    @property
    def lists_folders(self) -> bool:
        """Whether folders are listed that exist as parts of names only; pyarrow's GcsFileSystem doesn't."""
        return "gcs" not in self.system.type_name

    def kind(self, name: str) -> FileType:
        """Return whether there is a file, a folder or nothing of this name.

        Raises:
            OSError: That can't be looked up.
        """
        return self.system.get_file_info(self.path(name)).type

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            OSError: It can't be read.
        """
        return io.BufferedReader(self.system.open_input_file(self.path(name)))

    def read(self, name: str, most_bytes: int = -1) -> bytes:
        """Return the content of a file, or as many bytes of it.

        Raises:
            OSError: It can't be read.
        """
        with self.open(name) as file:
            return file.read(most_bytes)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Write a file in a block; it is there, as a whole, when the block has ended without an exception.

        Raises:
            OSError: It can't be written.
        """
        folder, _, last = self.path(name).rpartition("/")
        unfinished = f"{folder}/{_UNFINISHED}/{uuid.uuid4().hex}-{last}"
        self.system.create_dir(f"{folder}/{_UNFINISHED}", recursive=True)
        with self.system.open_output_stream(unfinished) as file:
            yield cast("BinaryIO", file)
        self.system.move(unfinished, self.path(name))

    def remove_unfinished(self, folder: str) -> None:
        """Remove what writers have left that were killed, if nobody writes any more."""
        with contextlib.suppress(OSError):
            self.system.delete_dir(f"{self.path(folder)}/{_UNFINISHED}")


def is_uri(name: str) -> bool:
    """Whether a name is that of an object store, rather than a local one."""
    return "://" in name


def open_storage(uri: str) -> tuple[Storage, str]:
    """Return the storage of a path or an address, and the name of what is there.

    Args:
        uri: A local path, or an address such as s3://bucket/folder, with pyarrow's options behind a `?`.

    Returns:
        The storage, and the name without options and without credentials.

    Raises:
        SettingsError: There is no such storage.
    """
    if not is_uri(uri):
        return Storage(LocalFileSystem(), ""), str(Path(uri).absolute())
    found = _URI.fullmatch(uri)
    if not found:
        raise SettingsError(f"{uri!r} is no address such as s3://bucket/folder")
    scheme, host, path, options = found.groups(default="")
    storage = _storage(scheme, host, options)
    return storage, f"{scheme}://{host.rpartition('@')[2]}{path}".rstrip("/")


@lru_cache(64)
def _storage(scheme: str, host: str, options: str) -> Storage:
    if scheme == "file":
        return Storage(LocalFileSystem(), "file://")
    try:
        system, root = FileSystem.from_uri(f"{scheme}://{host}/{options}")
    except (ArrowException, OSError, ValueError) as exc:
        raise SettingsError(f"{scheme}://{host.rpartition('@')[2]} can't be opened: {exc}") from exc
    bucket = root.strip("/")  # a path in an object store begins with it; one in HDFS doesn't
    return Storage(system, f"{scheme}://{'' if bucket else host.rpartition('@')[2]}")
