"""Finds and reads image files, for the client and the command line."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from ..errors import ImageError

IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, of the files that `find_images` takes from a folder."""


def find_images(path: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the image files below a folder, or the given file.

    Args:
        path: A folder, walked recursively in sorted order without following links to folders, or a file,
            which is yielded regardless of its suffix.
        on_error: Called with the error when a folder or a link can't be read; the walk continues.
    """
    if not path.is_dir():
        yield path
        return
    pending = [(path, True)]  # not recursive: folders may be nested deeper than Python's recursion limit
    while pending:
        current, is_folder = pending.pop()
        if not is_folder:
            yield current
            continue
        try:
            with os.scandir(current) as entries:
                found = sorted(_folders_and_images(entries, on_error), reverse=True)
        except OSError as exc:
            on_error(exc)
            continue
        pending += [(current / name, is_folder) for name, is_folder in found]


def _folders_and_images(
    entries: "Iterable[os.DirEntry[str]]", on_error: Callable[[OSError], None]
) -> Iterator[tuple[str, bool]]:
    """Yield the names of folders and image files; regular files only, since reading a pipe would block."""
    for entry in entries:
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            is_image = Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file()
        except OSError as exc:  # such as a link to itself
            on_error(exc)
            continue
        if is_folder or is_image:
            yield entry.name, is_folder


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
