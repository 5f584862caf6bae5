"""Finds and reads image files, for the client and the command line."""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from ..errors import ImageError
from .pillow_formats import SUFFIXES, missing_reader

IMAGE_SUFFIXES: Final = frozenset(
    {".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", *SUFFIXES}
)
"""Suffixes, in lower case, of the files that `find_images` takes from a folder, if they can be read here."""
HIDDEN: Final = "hidden or thumbnails"
"""Why a file isn't taken that begins with a dot, or is in a folder of thumbnails."""

_THUMBNAIL_FOLDERS: Final = ("@eaDir", "__MACOSX")  # of Synology's stations, of archives made on a Mac
_MOST_NAMES: Final = 100_000  # of one folder in memory at once: about 15 MB
_LONGEST_SUFFIX: Final = 10

OnError = Callable[[OSError], None]
OnSkip = Callable[[str], None]
"""Called for each file that isn't taken, with its kind in a few words."""

_Entries = Iterable["os.DirEntry[str]"]
_Named = tuple[str, bool]
"""A name, and whether it is that of a folder."""


def find_images(path: Path, on_error: OnError, on_skip: OnSkip | None = None) -> Iterator[Path]:
    """Yield the image files below a folder, or the given file, as they are found.

    The memory that this takes doesn't grow with the number of files: of a folder with more than 100,000, the
    names are read several times, a part of them at a time.

    Args:
        path: A folder, walked recursively in sorted order without following links to folders, or a file,
            which is yielded regardless of its suffix. Hidden files and folders, and folders of thumbnails,
            are left out.
        on_error: Called with the error when a folder or a link can't be read; the walk continues.
        on_skip: Called for each file that isn't taken; None if nobody wants to know.
    """
    if not path.is_dir():
        yield path
        return
    walk = [
        _sorted_entries(path, on_error, on_skip)
    ]  # not recursive: folders may be nested deeper than calls
    while walk:
        found = next(walk[-1], None)
        if found is None:
            walk.pop()
        elif found[1]:
            walk.append(_sorted_entries(found[0], on_error, on_skip))
        else:
            yield found[0]


def count_images(path: Path) -> Iterator[int]:
    """Yield 1, 2, 3 ... as images are found below a folder; faster than `find_images`, which sorts them."""
    if not path.is_dir():
        yield 1
        return
    count = 0
    pending = [path]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for name, is_folder in _folders_and_images(entries, _ignore, None):
                    if is_folder:
                        pending.append(folder / name)
                    else:
                        count += 1
                        yield count
        except OSError:
            continue


def _ignore(_: object) -> None:
    pass


def _sorted_entries(folder: Path, on_error: OnError, on_skip: OnSkip | None) -> Iterator[tuple[Path, bool]]:
    """Yield folders and image files in sorted order, with at most so many names in memory."""
    last = ""
    while True:
        try:
            with os.scandir(folder) as entries:
                left = (each for each in entries if each.name > last) if last else entries
                names = heapq.nsmallest(_MOST_NAMES, _folders_and_images(left, on_error, on_skip))
        except OSError as exc:
            on_error(exc)
            return
        yield from ((folder / name, is_folder) for name, is_folder in names)
        if len(names) < _MOST_NAMES:
            return
        last = names[-1][0]
        names.clear()
        on_error, on_skip = _ignore, None  # all is said


def _folders_and_images(entries: _Entries, on_error: OnError, on_skip: OnSkip | None) -> Iterator[_Named]:
    """Yield the names of folders and image files; regular files only, since reading a pipe would block."""
    for entry in entries:
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") or (is_folder and entry.name in _THUMBNAIL_FOLDERS):
                if on_skip:
                    _skip_hidden(Path(entry.path), on_skip, is_folder=is_folder)
                continue
            reason = "" if is_folder else _reason_to_skip(entry)
        except OSError as exc:  # such as a link to itself
            on_error(exc)
            continue
        if not reason:
            yield entry.name, is_folder
        elif on_skip:
            on_skip(reason)


def _reason_to_skip(entry: "os.DirEntry[str]") -> str:
    """Return the kind of a file that isn't taken; empty for one that is.

    Raises:
        OSError: It would be taken, but can't be looked up.
    """
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122  # a million paths take 3 s more
    if entry.is_symlink() and Path(entry.path).is_dir():
        return "linking to folders"
    if suffix not in IMAGE_SUFFIXES:
        return suffix if suffix and len(suffix) <= _LONGEST_SUFFIX else "without a known ending"
    if not entry.is_file():
        return "linking to nothing" if entry.is_symlink() else "not regular"
    needed = missing_reader(SUFFIXES[suffix]) if suffix in SUFFIXES else ""
    return f"{suffix} without {needed}" if needed else ""


def _skip_hidden(path: Path, on_skip: OnSkip, *, is_folder: bool) -> None:
    """Count a hidden file, or all files below a hidden folder."""
    if not is_folder:
        on_skip(HIDDEN)
        return
    pending = [path]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    else:
                        on_skip(HIDDEN)
        except OSError:  # nobody wants to read it
            continue


def read_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        ImageError: The file can't be read.
    """
    try:
        return path.read_bytes()  # not cv2.imread, which can't open all file names on Windows
    except OSError as exc:
        raise ImageError(f"the file can't be read: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL in the name
        raise ImageError(f"the file can't be read: {exc}") from exc
