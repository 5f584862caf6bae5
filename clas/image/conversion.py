"""Makes of an image that a server doesn't take a file that it takes."""

from typing import Final

import cv2

from .decode import DecodeImage, Image, is_for_servers
from .tiff import STARTS

_PACKING: Final = 1  # of 9: a photograph of 12 MP takes 0.3 s rather than 2 s, for some more bytes
_QUALITY: Final = 97


def converted(loaded: bytes | Image) -> bytes:
    """Return an image as a file that a server takes.

    TIFF, and pixels, become PNG, which keeps each of them (as 8-bit RGB). AVIF and HEIC, photographs that
    were packed with losses already, become JPEG of quality 97 without subsampling, since PNG would be several
    times as large. Any other file is returned as it is, also one that is no image.

    Args:
        loaded: A whole file, or an image [height, width, 3] uint8, RGB.

    Raises:
        ImageError: The file has to be converted, and can't be decoded.
    """
    if isinstance(loaded, bytes):
        if is_for_servers(loaded):
            return loaded
        is_lossless = loaded.startswith(tuple(STARTS))
        loaded = DecodeImage()(loaded)
    else:
        is_lossless = True
    pixels = cv2.cvtColor(loaded, cv2.COLOR_RGB2BGR)
    if is_lossless:
        return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, _PACKING])[1].tobytes()
    whole = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, *whole])[1].tobytes()
