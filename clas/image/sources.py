"""Named sources of images, each read when its turn comes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .decode import DecodeImage, Image, is_for_servers
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


def from_own_file(path: Path, max_pixels: int | None = None) -> ImageSource:
    """Return the source for a file of any format that can be read here; see `from_file`.

    What a server doesn't take (TIFF, AVIF, HEIC) is decoded at once.

    Args:
        path: The file.
        max_pixels: Limit of width x height of what is decoded here; None for none.
    """
    return ImageSource(str(path), partial(_load_own, path, max_pixels))


def own_image(data: bytes, max_pixels: int | None) -> bytes | Image:
    """Return a file as it is, or decoded if it is of a format that a server doesn't take.

    Args:
        data: The file.
        max_pixels: Limit of width x height of what is decoded here; None for none.

    Raises:
        ImageError: It can't be decoded.
    """
    return data if is_for_servers(data) else DecodeImage(max_pixels, is_own=True)(data)


def _load_own(path: Path, max_pixels: int | None) -> bytes | Image:
    return own_image(read_file(path), max_pixels)


def load_image(source: ImageSource, reduce_to: int | None = None) -> Image:
    """Read and decode one image.

    Args:
        source: The image.
        reduce_to: See `DecodeImage`.

    Returns:
        The image [height, width, 3], uint8, RGB, upright by its orientation.

    Raises:
        ImageError: It can't be read, or isn't an image.
    """
    loaded = source.load()
    return DecodeImage(reduce_to=reduce_to)(loaded) if isinstance(loaded, bytes) else loaded
