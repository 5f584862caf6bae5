"""What is to be classified, cut into parts: images by name, row groups of parquet files, and tars."""

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby, islice, zip_longest
from pathlib import Path, PurePosixPath
from typing import Final, Literal, NamedTuple

import pyarrow.parquet as pq
from pyarrow import ArrowException
from pyarrow.fs import FileType

from ....errors import SettingsError
from ....image.files import IMAGE_SUFFIXES, find_images
from .parquet_columns import find_columns
from .storage import Storage, is_uri, open_storage

Kind = Literal["images", "parquet", "tar"]

TARS: Final = (".tar", ".tar.gz", ".tgz")
LISTS: Final = (".txt", ".lst", ".list")
_WILDCARD: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]")
_MEANING: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_HIDDEN: Final = (".", "_")
_AT_ONCE: Final = 16  # files whose heads are read from an object store at a time
_WANTED: Final = (
    f"it takes a folder of images, an image, a glob, .parquet, {', '.join(TARS)}, or a list of paths "
    f"({', '.join(LISTS)})"
)


class Found(NamedTuple):
    """A file of an input.

    Attributes:
        place: Which input it is of, from 0 on.
        kind: What it is; "list" for a list of paths.
        name: Its name.
    """

    place: int
    kind: Kind | Literal["list"]
    name: str


class Piece(NamedTuple):
    """The input of one part.

    Attributes:
        place: Which input it is of; says by which storage it is read.
        kind: What `source` is: with "images", a file that the job writes, with `names`.
        source: The file.
        first_group: Of parquet the first row group.
        num_groups: Of parquet how many row groups they are.
        names: Of images their names.
    """

    place: int
    kind: Kind
    source: str = ""
    first_group: int = 0
    num_groups: int = 0
    names: Sequence[str] = ()


def find_pieces(inputs: Sequence[str], rows: int, column: str) -> Iterator[Piece]:
    """Yield the input of each part, in an order that is always the same.

    Of images, no more names than those of a part are held, and of a local folder those of `find_images`.

    Args:
        inputs: Paths and addresses.
        rows: The most images of a part; one row group of a parquet file, and a tar, may have more.
        column: The column of parquet files that holds bytes or names; empty: it is found.

    Raises:
        SettingsError: An input is none, can't be read, or has nothing in it.
    """
    storages = [open_storage(each)[0] for each in inputs]
    found = (each for place, uri in enumerate(inputs) for each in _find(place, uri))
    for (kind, _), group in groupby(found, lambda each: (each.kind, storages[each.place])):
        if kind == "images":
            first = next(group)
            names = (each.name for each in chain((first,), group))
            yield from _of_names(first.place, names, rows)
        elif kind == "list":
            for each in group:
                yield from _of_names(each.place, _read_list(storages[each.place], each.name), rows)
        elif kind == "tar":
            yield from (Piece(each.place, "tar", each.name) for each in group)
        else:
            yield from _of_parquet(group, storages, rows, column)


def _of_names(place: int, names: Iterator[str], rows: int) -> Iterator[Piece]:
    while some := tuple(islice(names, rows)):
        yield Piece(place, "images", names=some)


def _find(place: int, uri: str) -> Iterator[Found]:
    """Yield the files of one input."""
    storage, name = open_storage(uri)
    is_empty = True
    try:
        for file in _files(storage, name):
            is_empty = False
            yield Found(place, kind_of(file), file)
    except OSError as exc:
        raise SettingsError(f"{name} can't be read: {exc}") from exc
    if is_empty:
        raise SettingsError(f"there is no image in {name}; tars and parquet files are named by a glob")


def _files(storage: Storage, name: str) -> Iterator[str]:
    if found := _WILDCARD.search(name):
        base = name[: found.start()].rpartition("/")[0]
        matches = re.compile(_pattern(name)).fullmatch
        yield from (file for file in _walk(storage, base) if matches(file))
    elif storage.kind(name) is FileType.File:
        yield name
    elif storage.kind(name) is FileType.Directory:
        yield from _images_in(storage, name)
    else:
        raise SettingsError(f"there is no file or folder {name}")


def _images_in(storage: Storage, folder: str) -> Iterator[str]:
    if storage.head:
        yield from (file for file in _walk(storage, folder) if _suffix(file) in IMAGE_SUFFIXES)
        return

    def refuse(exc: OSError) -> None:
        raise exc

    yield from map(str, find_images(Path(folder), refuse))


def _walk(storage: Storage, folder: str) -> Iterator[str]:
    """Yield all files below a folder but hidden ones, in order; the names of one folder are in memory."""
    if not storage.lists_folders:  # then those of all
        start = len(storage.path(folder))
        for info in storage.entries(folder, below=True):
            parts = PurePosixPath(info.path[start:]).parts
            if info.type is FileType.File and not any(part.startswith(_HIDDEN) for part in parts):
                yield storage.head + info.path
        return
    pending = [iter(storage.entries(folder))]
    while pending:
        info = next(pending[-1], None)
        if info is None:
            pending.pop()
        elif info.base_name.startswith(_HIDDEN):
            continue
        elif info.type is FileType.Directory:
            pending.append(iter(storage.entries(storage.head + info.path)))
        else:
            yield storage.head + info.path


def _pattern(glob: str) -> str:
    """Return a glob as a regular expression."""
    texts = _WILDCARD.split(glob)
    wildcards = [_MEANING.get(found) or found.replace("[!", "[^") for found in _WILDCARD.findall(glob)]
    return "".join(re.escape(text) + wild for text, wild in zip_longest(texts, wildcards, fillvalue=""))


def folder_of(name: str) -> str:
    """Return the folder in which the names of an input's images begin."""
    if found := _WILDCARD.search(name):
        return name[: found.start()].rpartition("/")[0]
    is_file = _suffix(name) in (*IMAGE_SUFFIXES, ".parquet") or name.lower().endswith((*TARS, *LISTS))
    return name.rpartition("/")[0] if is_file else name


def kind_of(name: str) -> Kind | Literal["list"]:
    """Return what a file is, by its suffix.

    Raises:
        SettingsError: It is nothing that can be classified.
    """
    lower = name.lower()
    if lower.endswith(TARS):
        return "tar"
    if lower.endswith(LISTS):
        return "list"
    if lower.endswith(".parquet"):
        return "parquet"
    if _suffix(lower) not in IMAGE_SUFFIXES:
        raise SettingsError(f"{name} can't be classified; {_WANTED}")
    return "images"


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _read_list(storage: Storage, name: str) -> Iterator[str]:
    """Yield the names of a list; relative ones begin in its folder."""
    try:
        with storage.open(name) as file:
            for line in file:
                if text := line.decode("utf-8-sig", "surrogateescape").strip():
                    yield from_folder_of(name, text)
    except OSError as exc:
        raise SettingsError(f"{name} can't be read: {exc}") from exc


def from_folder_of(file: str, name: str) -> str:
    """Return a name that a file mentions; a relative one begins in the file's folder."""
    is_whole = is_uri(name) or name.startswith("/")
    return name if is_whole else f"{file.rpartition('/')[0]}/{name}"


def _of_parquet(
    files: Iterable[Found], storages: Sequence[Storage], rows: int, column: str
) -> Iterator[Piece]:
    """Yield row groups that are neighbours, together up to so many rows; only the heads are read."""

    def row_groups(each: Found) -> list[int]:
        try:
            with storages[each.place].open(each.name) as file:
                head = pq.ParquetFile(file)
                find_columns(head.schema_arrow, column, each.name)
                return [head.metadata.row_group(i).num_rows for i in range(head.num_row_groups)]
        except (ArrowException, OSError) as exc:
            raise SettingsError(f"{each.name} can't be read: {exc}") from exc

    with ThreadPoolExecutor(_AT_ONCE) as executor:
        while some := list(islice(files, _AT_ONCE)):
            for each, sizes in zip(some, executor.map(row_groups, some), strict=True):
                yield from (
                    Piece(each.place, "parquet", each.name, first, count)
                    for first, count in _neighbours(sizes, rows)
                )


def _neighbours(sizes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield the first of some neighbours, and how many they are, whose sum is `most` unless it is one."""
    first, total = 0, 0
    for place, size in enumerate(sizes):
        if place > first and total + size > most:
            yield first, place - first
            first, total = place, 0
        total += size
    if len(sizes) > first:
        yield first, len(sizes) - first
