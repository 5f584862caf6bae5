"""Reduces a PNG file to what a still image needs, before native code sees it.

OpenCV 4.11 and 4.12 crash on animated PNGs whose frames are damaged (opencv issue 27744), or return memory
that was never written, and refuse files with much packed text. So only these chunks reach the decoder.
"""

import struct
from typing import Final

from ..errors import ImageError

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_HEADER: Final = b"IHDR"
_HEADER_BYTES: Final = 13
_DATA: Final = b"IDAT"
_END: Final = b"IEND"
_KEPT: Final = (_HEADER, b"PLTE", b"tRNS", b"eXIf", _DATA, _END)
"""The chunks that say what the pixels are; eXIf has the orientation (source: PNG specification, 11)."""
_AROUND: Final = 12  # bytes of a chunk besides its data: length, type and checksum


def still_image(data: bytes) -> bytes:
    """Return a PNG file without the chunks that a still image doesn't need.

    Args:
        data: A PNG file.

    Raises:
        ImageError: It doesn't begin with one header, has no pixels, or ends within a chunk.
    """
    view = memoryview(data)
    parts = [view[: len(SIGNATURE)]]
    start = len(SIGNATURE)
    kind = b""
    has_data = False
    while start < len(view) and kind != _END:
        length, next_kind = _read_chunk(view, start)
        if (next_kind == _HEADER) != (kind == b"") or (next_kind == _HEADER and length != _HEADER_BYTES):
            raise _damaged("its header is damaged")
        kind = next_kind
        has_data |= kind == _DATA
        end = start + _AROUND + length
        if kind in _KEPT:
            parts.append(view[start:end])
        start = end
    if not has_data:
        raise _damaged("it has no pixels")
    return b"".join(parts)


def _read_chunk(view: memoryview, start: int) -> tuple[int, bytes]:
    """Return length and type of the chunk at `start`, which must be whole."""
    left = len(view) - start - _AROUND
    if left >= 0:
        length, kind = struct.unpack_from(">I4s", view, start)
        if length <= left:
            return length, kind
    raise _damaged("it ends within a chunk")


def _damaged(reason: str) -> ImageError:
    return ImageError(f"the image can't be decoded: {reason}")
