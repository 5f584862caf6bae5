"""Decodes image files."""

import io
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from . import png

Image = npt.NDArray[np.uint8]
"""[height, width, 3], RGB, 0 to 255."""

_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP")
_JPEG_START: Final = b"\xff\xd8"
_REDUCED_MARGIN: Final = 2  # closer to the target size, too much detail would be lost
_REDUCTIONS: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


class DecodeImage:
    """Decodes the bytes of an image file to RGB, and applies the EXIF orientation of JPEG and PNG.

    Grayscale, alpha and 16-bit images are converted to 8-bit RGB, as by `cv2.imread`.

    Args:
        max_pixels: Limit of width x height, checked in the header before anything is decoded. Needs Pillow,
            and allows JPEG, PNG, BMP and WebP only. None decodes every format that OpenCV supports.
        reduce_to: Decode a JPEG at the smallest of 1/2, 1/4 and 1/8 of its size whose short side still has
            twice as many pixels as this. Faster, with slightly different pixels after resizing. Needs
            Pillow. None decodes every image at full size.
    """

    def __init__(self, max_pixels: int | None = None, reduce_to: int | None = None) -> None:
        self.max_pixels = max_pixels
        self.reduce_to = reduce_to
        if max_pixels is not None or reduce_to is not None:
            import PIL.Image  # noqa: F401, PLC0415  # here, so that the first request doesn't wait for it

    def __call__(self, data: bytes) -> Image:
        """Decode one image file.

        Args:
            data: The bytes of the file.

        Returns:
            The image, [height, width, 3] uint8, RGB.

        Raises:
            ImageError: The file isn't an image, is damaged, or has more than `max_pixels`.
        """
        if data.startswith(png.SIGNATURE):
            data = png.still_image(data)
        flags = cv2.IMREAD_COLOR_RGB
        is_reducible = self.reduce_to is not None and data.startswith(_JPEG_START)
        if self.max_pixels is not None or is_reducible:
            size = _read_size(data, self.max_pixels)
            if self.reduce_to is not None and is_reducible:
                flags = _reduction(min(size), self.reduce_to) or flags
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        except cv2.error as exc:
            raise ImageError(f"the image can't be decoded: {exc.err}") from exc
        if image is None:
            raise ImageError("the image can't be decoded: it is damaged, or of a format OpenCV doesn't know")
        if flags != cv2.IMREAD_COLOR_RGB:  # OpenCV 5 refuses to combine it with a reduced size
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
        return image  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"DecodeImage(max_pixels={self.max_pixels}, reduce_to={self.reduce_to})"


def _read_size(data: bytes, max_pixels: int | None) -> tuple[int, int]:
    """Return width and height from the header of an image file; raises ImageError beyond `max_pixels`."""
    from PIL import Image as PillowImage  # noqa: PLC0415  # the client doesn't need Pillow
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    try:
        with PillowImage.open(io.BytesIO(data), formats=_FORMATS) as header:
            width, height = header.size
    except UnidentifiedImageError as exc:
        raise ImageError(f"the image can't be decoded: it is none of {', '.join(_FORMATS)}") from exc
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as exc:
        limit = "" if max_pixels is None else f"; max_image_pixels is {max_pixels}"
        raise ImageError(f"the image is too large{limit}") from exc
    except (OSError, SyntaxError, ValueError, ArithmeticError) as exc:  # what Pillow's readers raise
        raise ImageError(f"the image can't be decoded: its header is damaged ({exc})") from exc
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(f"the image has {width} x {height} pixels; max_image_pixels is {max_pixels}")
    return width, height


def _reduction(short_side: int, reduce_to: int) -> int:
    """Return the flag for OpenCV to decode a JPEG at a reduced size; 0 for the full size."""
    for divisor, flag in _REDUCTIONS:
        if short_side // divisor >= _REDUCED_MARGIN * reduce_to:
            return flag
    return 0
