"""Find image files and read them, for the client and for what runs without a server."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from ..errors import ImageError

IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Endings, in lower case, of the files that are taken from a folder."""


def find_images(path: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """List the images below a folder, or the one file that is named.

    Args:
        path: A folder, walked recursively in sorted order without following links to folders, or a file,
            which is taken whatever its ending.
        on_error: Called with what makes a folder unreadable; the walk goes on.
    """
    if not path.is_dir():
        yield path
        return
    pending = [(path, True)]  # a stack of our own: folders may be nested deeper than Python's calls
    while pending:
        current, is_folder = pending.pop()
        if not is_folder:
            yield current
            continue
        try:
            with os.scandir(current) as entries:
                found = sorted(_folders_and_images(entries), reverse=True)
        except OSError as exc:
            on_error(exc)
            continue
        pending += [(current / name, is_folder) for name, is_folder in found]


def _folders_and_images(entries: "Iterable[os.DirEntry[str]]") -> Iterator[tuple[str, bool]]:
    """Names of the folders, and of the regular files (reading a pipe would hang) that end like images."""
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder or (Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file()):
            yield entry.name, is_folder


def read_file(path: Path) -> bytes:
    """Read one file as it is.

    Raises:
        ImageError: It can't be read.
    """
    try:
        return path.read_bytes()  # not cv2.imread, which can't open every file name on Windows
    except OSError as exc:
        raise ImageError(f"the file can't be read: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL in its name
        raise ImageError(f"the file can't be read: {exc}") from exc
