"""Images as Python programs have them: arrays, Pillow's images, file names, and whole files in memory."""

import os
import reprlib
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from ..errors import ImageError, RequestError
from .decode import Image
from .exif import LAST, UPRIGHT, turned
from .sources import ImageSource, from_file

CHANNELS: Final = ("RGB", "BGR")
"""Orders of the channels of an array: Pillow's and Matplotlib's, and OpenCV's."""
WANTED: Final = "it takes an array [H, W, 3] or [H, W] of uint8, or an image of Pillow"

_COLOURED: Final = 3  # dimensions of an array with channels
_BATCH: Final = 4
_EIGHT_BIT: Final = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes that become RGB without a loss of range; those of more bits would be cut."""
_ORIENTATION: Final = 0x0112  # tag of EXIF


def sources_of(given: object, channels: str = "RGB") -> list[ImageSource]:
    """Return the sources of one image or many, each of any kind.

    Args:
        given: A file name, the bytes of an image file, an array [H, W, 3] or [H, W] of uint8, an image of
            Pillow; or an array [N, H, W, 3], or any other iterable of these. What is none of them becomes an
            image that fails.
        channels: The order of the channels of arrays, one of CHANNELS.

    Raises:
        RequestError: It is neither an image nor iterable, or `channels` is invalid.
    """
    if channels not in CHANNELS:
        raise RequestError(f"channels is {channels!r}; it takes {' or '.join(CHANNELS)}")
    if is_one(given) or isinstance(given, str | os.PathLike | bytes | bytearray | memoryview):
        return [_source(0, given, channels)]
    if not isinstance(given, Iterable):
        raise RequestError(f"the images are of type {type(given).__name__}; it takes one image, or a list")
    return [_source(number, each, channels) for number, each in enumerate(given)]


def is_one(given: object) -> bool:
    """Whether this is a single image in memory, rather than several."""
    return (isinstance(given, np.ndarray) and given.ndim != _BATCH) or _is_pillows(given)


def rgb_of(given: object, channels: str) -> Image:
    """Return an image in memory as [H, W, 3] uint8, RGB, upright by its orientation.

    Alpha is left out, as from files.

    Args:
        given: An array [H, W, 3], [H, W, 1] or [H, W] of uint8, or an image of Pillow.
        channels: As `sources_of`.

    Raises:
        ImageError: It is something else.
    """
    if _is_pillows(given):
        return _of_pillow(given)
    if not isinstance(given, np.ndarray):
        raise ImageError(f"the image is of type {type(given).__name__}; {WANTED}")
    is_grey = given.ndim == _COLOURED - 1 or (given.ndim == _COLOURED and given.shape[2] == 1)
    is_coloured = given.ndim == _COLOURED and given.shape[2] == _COLOURED
    if given.dtype != np.uint8 or not given.size or not (is_grey or is_coloured):
        raise ImageError(f"the image is {list(given.shape)} of {given.dtype}; {WANTED}")
    whole: Any = np.ascontiguousarray(given)
    if is_grey:
        whole = cv2.cvtColor(whole, cv2.COLOR_GRAY2RGB)
    elif channels == "BGR":
        whole = cv2.cvtColor(whole, cv2.COLOR_BGR2RGB)
    rgb: Image = whole
    return rgb


def _source(number: int, given: object, channels: str) -> ImageSource:
    if isinstance(given, str | os.PathLike):
        return from_file(Path(given))
    name = f"images[{number}]"
    if isinstance(given, bytes | bytearray | memoryview):
        return ImageSource(name, partial(bytes, given))
    return ImageSource(name, partial(rgb_of, given, channels))


def _is_pillows(given: object) -> bool:
    """Whether this is an image of Pillow, which need not be installed."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(given, pillow.Image)


def _of_pillow(image: Any) -> Image:  # noqa: ANN401  # Pillow need not be installed
    if image.mode not in _EIGHT_BIT:
        raise ImageError(f"the image is of Pillow's mode {image.mode}; convert it to RGB first")
    try:
        pixels = np.array(image.convert("RGB"))
        orientation = image.getexif().get(_ORIENTATION, UPRIGHT)  # that of a TIFF is gone: Pillow turns it
    except (OSError, ValueError, SyntaxError) as exc:  # of a file that is read only now
        raise ImageError(f"the image can't be decoded: {reprlib.repr(str(exc))}") from exc
    return turned(pixels, orientation if orientation in range(UPRIGHT, LAST + 1) else UPRIGHT)
