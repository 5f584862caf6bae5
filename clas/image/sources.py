"""Named sources of images, each read when its turn comes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .decode import Image
from .files import read_file


class ImageSource(NamedTuple):
    """An image that is still to be read.

    Attributes:
        name: The image's name in the results.
        load: Returns a whole image file, or an image [H, W, 3] uint8, RGB; raises ImageError.
    """

    name: str
    load: Callable[[], bytes | Image]


def from_file(path: Path, name: str | None = None) -> ImageSource:
    """Return the source for a file, named after its path unless a name is given."""
    return ImageSource(str(path) if name is None else name, partial(read_file, path))
