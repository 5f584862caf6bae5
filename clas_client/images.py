"""Decodes images and makes thumbnails."""

from pathlib import Path
from typing import Final

import cv2

from clas.errors import ImageError
from clas.image.decode import DecodeImage, Image
from clas.image.sources import ImageSource, from_file

_THUMBNAIL_SIDE: Final = 160
_THUMBNAIL_QUALITY: Final = 75  # about 4 KB an image


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


def read_image(path: Path, reduce_to: int | None = None) -> Image:
    """Read and decode one file; see `load_image`. The manual shows it for code of one's own."""
    return load_image(from_file(path), reduce_to)


def make_thumbnail(source: ImageSource) -> bytes:
    """Return a JPEG of at most 160 x 160 pixels, in the image's proportions; empty if it can't be read."""
    try:
        image = load_image(source)
    except ImageError:  # reported where the image itself is read, or by the service
        return b""
    height, width = image.shape[:2]
    scale = min(1.0, _THUMBNAIL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY])[1].tobytes()
