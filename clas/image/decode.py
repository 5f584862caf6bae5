"""Decodes image files."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from . import bmp, exif, jpeg, pillow_formats, png, tiff, webp
from .still import CheckSize, Still, damaged

Image = npt.NDArray[np.uint8]
"""[height, width, 3], RGB, 0 to 255."""


class _Format(NamedTuple):
    """A format of image files.

    Attributes:
        name: For messages.
        starts: How its files begin.
        read: Checks a file, and reduces it to its pixels.
    """

    name: str
    starts: tuple[bytes, ...]
    read: Callable[[bytes, CheckSize], Still]


_JPEG: Final = _Format("JPEG", (jpeg.START,), jpeg.read)
_FORMATS: Final = (
    _JPEG,
    _Format("PNG", (png.START,), png.read),
    _Format("BMP", (bmp.START,), bmp.read),
    _Format("WEBP", (webp.START,), webp.read),
)
_TIFF: Final = _Format("TIFF", tuple(tiff.STARTS), tiff.read)
_OWN_FORMATS: Final = (*_FORMATS, _TIFF)
_MAX_PIXELS: Final = 2**30  # what OpenCV decodes at most
_REDUCED_MARGIN: Final = 2  # closer to the target size, too much detail would be lost
_REDUCTIONS: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


class DecodeImage:
    """Decodes the bytes of an image file to RGB, turned by its orientation.

    Grayscale, alpha and 16-bit images are converted to 8-bit RGB, as by `cv2.imread`. The orientation is that
    of EXIF in JPEG, PNG and WebP, and the tag of TIFF. Of an animation it is the first image.

    Native code gets only what has been checked: one image, without metadata, of a size and at a cost that
    are known before; see `still`.

    Args:
        max_pixels: Limit of width x height, checked in the header before anything is decoded; JPEG, PNG, BMP
            and WebP are decoded. None for no limit.
        reduce_to: Decode a JPEG at the smallest of 1/2, 1/4 and 1/8 of its size whose short side still has
            twice as many pixels as this. Faster, with slightly different pixels after resizing. None decodes
            every image at full size.
        is_own: The files are of one's own: also decode TIFF and, where a reader is installed, AVIF and HEIC.
            By default those are decoded without a limit.
    """

    def __init__(
        self, max_pixels: int | None = None, reduce_to: int | None = None, *, is_own: bool | None = None
    ) -> None:
        self.max_pixels = max_pixels
        self.reduce_to = reduce_to
        self._is_own = max_pixels is None if is_own is None else is_own
        self._formats = _OWN_FORMATS if self._is_own else _FORMATS

    def __call__(self, data: bytes) -> Image:
        """Decode one image file.

        Args:
            data: The bytes of the file.

        Returns:
            The image, [height, width, 3] uint8, RGB.

        Raises:
            ImageError: The file isn't an image, is damaged, or has more than `max_pixels`.
        """
        if self._is_own and (foreign := pillow_formats.format_of(data)):
            return pillow_formats.decode(data, foreign, self._check_size)
        file_format = _format_of(data, self._formats)
        still = file_format.read(data, self._check_size)
        flags = cv2.IMREAD_COLOR_RGB
        if self.reduce_to is not None and file_format is _JPEG:
            flags = _reduction(min(still.width, still.height), self.reduce_to) or flags
        decode = partial(_decode, flags=flags)
        image = decode(still.data)
        if flags == cv2.IMREAD_COLOR_RGB and image.shape[:2] != (still.height, still.width):
            raise damaged("its header is damaged")  # the decoder has read another size in it
        if still.other is not None and not np.array_equal(image, decode(still.other)):
            raise damaged("it ends before its last pixel")
        return exif.turned(image, still.orientation)

    def __repr__(self) -> str:
        return f"DecodeImage(max_pixels={self.max_pixels}, reduce_to={self.reduce_to})"

    def _check_size(self, width: int, height: int) -> None:
        if self.max_pixels is not None and width * height > self.max_pixels:
            raise ImageError(
                f"the image has {width} x {height} pixels; max_image_pixels is {self.max_pixels}"
            )
        if width * height > _MAX_PIXELS:
            raise damaged(f"it has {width} x {height} pixels, and OpenCV decodes {_MAX_PIXELS} at most")


def count_pixels(data: bytes) -> int:
    """Return width x height of an image file of one's own, by its header; nothing is decoded.

    Raises:
        ImageError: The file isn't an image, or is damaged so that this can't be known.
    """
    counts: list[int] = []

    def stop(width: int, height: int) -> None:
        counts.append(width * height)
        raise ImageError("the rest of the file isn't read")

    try:
        if foreign := pillow_formats.format_of(data):
            pillow_formats.decode(data, foreign, stop)
        else:
            _format_of(data, _OWN_FORMATS).read(data, stop)
    except ImageError:
        if not counts:
            raise
    return counts[0]


def is_for_servers(data: bytes) -> bool:
    """Return whether a server takes a file: whether it isn't one of the formats that only its owner reads."""
    return not data.startswith(_TIFF.starts) and pillow_formats.format_of(data) is None


def _format_of(data: bytes, formats: Sequence[_Format]) -> _Format:
    for file_format in formats:
        if data.startswith(file_format.starts):
            return file_format
    raise damaged(f"it is none of {', '.join(file_format.name for file_format in formats)}")


def _decode(data: bytes | bytearray, flags: int) -> Image:
    """Have OpenCV decode a file that has been checked; returns RGB."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as exc:
        raise damaged(exc.err) from exc
    if image is None:
        raise damaged("its pixels are damaged")
    if flags != cv2.IMREAD_COLOR_RGB:  # OpenCV 5 refuses to combine it with a reduced size
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return image  # type: ignore[return-value]


def _reduction(short_side: int, reduce_to: int) -> int:
    """Return the flag for OpenCV to decode a JPEG at a reduced size; 0 for the full size."""
    for divisor, flag in _REDUCTIONS:
        if short_side // divisor >= _REDUCED_MARGIN * reduce_to:
            return flag
    return 0
