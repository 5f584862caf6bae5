"""What native code gets to see of an image file, and how its pixels become the image."""

from collections.abc import Callable
from typing import Final, NamedTuple

from ..errors import ImageError

CheckSize = Callable[[int, int], None]
"""Called with width and height once they are known; raises ImageError if there are too many pixels."""

MAX_CHUNKS: Final = 100_000
"""The most chunks of a file; to walk past them takes less than 0.1 s."""


class Still(NamedTuple):
    """A checked image file: one still image, without metadata.

    Attributes:
        data: The file for the decoder, with nothing in it but what says what the pixels are.
        width: Of the pixels as they are stored, before they are turned.
        height: Likewise.
        orientation: 1 to 8, by which the pixels are turned (source: EXIF 2.3, tag 0x0112).
        other: The same file with other filler behind its pixels; the pixels are whole if both decode to the
            same. None where `data` is known to be whole.
    """

    data: bytes | bytearray
    width: int
    height: int
    orientation: int = 1
    other: bytes | None = None


def damaged(reason: str) -> ImageError:
    """Return the error for a file that can't be decoded; `reason` is a sentence without its full stop."""
    return ImageError(f"the image can't be decoded: {reason}")


def unsupported(what: str) -> ImageError:
    """Return the error for a file of a known format, but of a rare kind."""
    return damaged(f"{what} isn't supported")
