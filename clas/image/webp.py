"""Reduces a WebP file to its first image, before native code sees it.

Numbers in brackets are sections of RFC 9649.
"""

import struct
from typing import Final

from . import exif
from .still import MAX_CHUNKS, CheckSize, Still, damaged, unsupported

START: Final = b"RIFF"

_KIND: Final = b"WEBP"
_FILE_HEADER: Final = 12
_CHUNK_HEADER: Final = struct.Struct("<4sI")
_EXTENDED: Final = b"VP8X"
_CANVAS: Final = slice(4, 10)  # of its body, two sides of 24 bits (2.7)
_HAS_ALPHA: Final = 0x10  # one of its flags
_EXIF: Final = b"EXIF"
_FRAME: Final = b"ANMF"
_FRAME_HEADER: Final = 16  # position, then the sides as those of the canvas (2.7.1.1)
_ALPHA: Final = b"ALPH"
_LOSSY: Final = b"VP8 "
_LOSSLESS: Final = b"VP8L"
_KEY_FRAME: Final = b"\x9d\x01\x2a"  # (RFC 6386, 9.1)
_LOSSLESS_START: Final = 0x2F  # (3.4)
_SIDE: Final = (1 << 14) - 1  # the bits of a side
_LOSSLESS_VERSION: Final = 29  # above two sides and one bit for alpha


def read(data: bytes, check_size: CheckSize) -> Still:
    """Check a WebP file and reduce it to its first image.

    Raises:
        ImageError: It is damaged, or an animation whose first image is smaller than the others.
    """
    view = memoryview(data)
    if bytes(view[8:_FILE_HEADER]) != _KIND:
        raise damaged("it is RIFF, but not WebP")
    first = _first_of_each(view[_FILE_HEADER : 8 + int.from_bytes(view[4:8], "little")])
    extended = first.get(_EXTENDED)
    orientation = exif.orientation(first.get(_EXIF, b""))
    frame = first.get(_FRAME)
    if frame is not None:
        if extended is None or bytes(frame[:12]) != bytes(6) + bytes(extended[_CANVAS]):
            raise unsupported("an animation whose first image is smaller than the others")
        first = _first_of_each(frame[_FRAME_HEADER:])
    kind = next((kind for kind in first if kind in (_LOSSY, _LOSSLESS)), None)
    if kind is None:
        raise damaged("it has no pixels")
    width, height = _lossy_size(first[kind]) if kind == _LOSSY else _lossless_size(first[kind])
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    if extended is not None and extended[_CANVAS] != canvas:
        raise damaged("its header is damaged")
    check_size(width, height)
    chunks = _chunk(kind, first[kind])
    if kind == _LOSSY and _ALPHA in first:
        flags = _HAS_ALPHA.to_bytes(4, "little")
        chunks = _chunk(_EXTENDED, flags + canvas) + _chunk(_ALPHA, first[_ALPHA]) + chunks
    return Still(_chunk(START, _KIND + chunks), width, height, orientation)


def _first_of_each(view: memoryview) -> dict[bytes, memoryview]:
    """Return the bodies of the chunks by their kind, the first one of each kind (2.3)."""
    first: dict[bytes, memoryview] = {}
    start = 0
    for _ in range(MAX_CHUNKS):
        if start >= len(view):
            return first
        if start + _CHUNK_HEADER.size > len(view):
            break
        kind, length = _CHUNK_HEADER.unpack_from(view, start)
        start += _CHUNK_HEADER.size
        if start + length > len(view):
            break
        first.setdefault(kind, view[start : start + length])
        start += length + length % 2
    else:
        raise damaged(f"it has more than {MAX_CHUNKS} chunks")
    raise damaged("it ends within a chunk")


def _chunk(kind: bytes, body: bytes | memoryview) -> bytes:
    return b"".join((_CHUNK_HEADER.pack(kind, len(body)), body, bytes(len(body) % 2)))


def _lossy_size(body: memoryview) -> tuple[int, int]:
    """Return width and height from the header of a key frame (RFC 6386, 9.1)."""
    is_key_frame = len(body) >= 10 and not body[0] & 1 and bytes(body[3:6]) == _KEY_FRAME  # noqa: PLR2004
    if not is_key_frame:
        raise damaged("its header is damaged")
    width, height = (side & _SIDE for side in struct.unpack_from("<HH", body, 6))
    if not width or not height:
        raise damaged("its header is damaged")
    return width, height


def _lossless_size(body: memoryview) -> tuple[int, int]:
    """Return width and height from the header of a lossless image (3.4)."""
    bits = int.from_bytes(body[1:5], "little")
    if len(body) <= 5 or body[0] != _LOSSLESS_START or bits >> _LOSSLESS_VERSION:  # noqa: PLR2004
        raise damaged("its header is damaged")
    return (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1
