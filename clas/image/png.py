"""Reduces a PNG file to what a still image needs, before native code sees it.

OpenCV 4.11 and 4.12 crash on animated PNGs whose frames are damaged (opencv issue 27744), or return memory
that was never written, and refuse files with much packed text. libpng unpacks all that was packed, a thousand
times the size of the file, even of an image of one pixel. So only the chunks that say what the pixels are
reach the decoder, with exactly as many bytes of pixels as there must be. They are no longer packed: what is
unpacked here isn't unpacked there, which takes as long, and up to a quarter longer for many megapixels. Those
of 16 bits would take too much memory, so they stay packed and are unpacked twice.

Numbers in brackets are sections of the PNG specification, third edition.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from . import exif
from .still import MAX_CHUNKS, CheckSize, Still, damaged

START: Final = b"\x89PNG\r\n\x1a\n"

_HEADER: Final = b"IHDR"
_HEADER_BODY: Final = struct.Struct(">IIBBBBB")
_PALETTE: Final = b"PLTE"
_TRANSPARENCY: Final = b"tRNS"
_EXIF: Final = b"eXIf"
_DATA: Final = b"IDAT"
_END: Final = b"IEND"
_CHUNK_HEADER: Final = struct.Struct(">I4s")
_BLOCK_HEADER: Final = struct.Struct("<BHH")
_MAX_BLOCK: Final = 2**16 - 1
_LAST_BLOCK: Final = _BLOCK_HEADER.pack(1, 0, _MAX_BLOCK)
_ZLIB_HEADER: Final = b"\x78\x01"
_CHECKSUM: Final = struct.Struct(">I")
_AROUND: Final = _CHUNK_HEADER.size + _CHECKSUM.size
_BODY: Final = slice(_CHUNK_HEADER.size, -_CHECKSUM.size)  # of a chunk
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""The bits of a sample for each type of color (11.2.1)."""
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""The samples of a pixel for each type of color."""
_PASSES: Final = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""Left and top of the first pixel, then the steps, of each pass of an interlaced image (8.1)."""
_PIECE: Final = 2**18  # bytes that are unpacked at a time
_PACKED_PIECE: Final = 2**16  # what is left of it is copied each time
_ENDS_EARLY: Final = "it ends before its last pixel"
_STORED_DEPTH: Final = 8  # the most bits of a sample that isn't packed again


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    color: int
    compression: int
    filter: int
    interlace: int

    def check(self) -> None:
        """Check that it says how many bytes the pixels have."""
        is_known = self.depth in _DEPTHS.get(self.color, ()) and self.interlace in (0, 1)
        if not is_known or self.compression or self.filter or not self.width or not self.height:
            raise damaged("its header is damaged")

    @property
    def num_bytes(self) -> int:
        """Size of the pixels before they are packed, with a byte for the filter of each row (7.2)."""
        bits = self.depth * _SAMPLES[self.color]
        total = 0
        for left, top, step_x, step_y in _PASSES if self.interlace else ((0, 0, 1, 1),):
            width, height = -((left - self.width) // step_x), -((top - self.height) // step_y)
            if width > 0 and height > 0:
                total += height * (1 + (width * bits + 7) // 8)
        return total


def read(data: bytes, check_size: CheckSize) -> Still:
    """Check a PNG file and reduce it to its still image; an animation's is the one that it begins with.

    Raises:
        ImageError: It is damaged.
    """
    chunks = _chunks(memoryview(data))
    first = dict(islice(chunks, 1))
    header = _read_header(first.get(_HEADER, memoryview(b"")))
    check_size(header.width, header.height)
    packed: list[memoryview] = []
    for kind, chunk in chunks:
        if kind == _DATA:
            packed.append(chunk)
        elif first.setdefault(kind, chunk) is not chunk and kind == _HEADER:
            raise damaged("its header is damaged")
    if not packed:
        raise damaged("it has no pixels")
    still = bytearray(START)
    for kind in (_HEADER, _PALETTE, _TRANSPARENCY):
        still += first.get(kind, b"")
    if header.depth > _STORED_DEPTH:
        _check_size(packed, header.num_bytes)
        for chunk in packed:
            still += chunk
    else:
        _write_stored(still, packed, header.num_bytes)
    still += _new_chunk(_END, b"")
    orientation = exif.orientation(first[_EXIF][_BODY]) if _EXIF in first else exif.UPRIGHT
    return Still(still, header.width, header.height, orientation)


def _chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and whole of each chunk before the last one."""
    start = len(START)
    for _ in range(MAX_CHUNKS):
        if start >= len(view):
            return
        if start + _AROUND > len(view):
            break
        length, kind = _CHUNK_HEADER.unpack_from(view, start)
        if kind == _END:
            return
        end = start + _AROUND + length
        if end > len(view):
            break
        yield kind, view[start:end]
        start = end
    else:
        raise damaged(f"it has more than {MAX_CHUNKS} chunks")
    raise damaged("it ends within a chunk")


def _read_header(chunk: memoryview) -> _Header:
    body = chunk[_BODY]
    if len(body) != _HEADER_BODY.size:
        raise damaged("its header is damaged")
    header = _Header(*_HEADER_BODY.unpack(body))
    header.check()
    return header


def _unpacked(chunks: Iterable[memoryview], num_bytes: int) -> Iterator[bytes]:
    """Yield the first bytes that are packed in these chunks, in pieces; fewer if there are fewer.

    Raises:
        ImageError: A chunk is damaged.
    """
    unpacker = zlib.decompressobj()
    try:
        for packed in _pieces(chunks):
            rest: bytes | memoryview = packed
            while rest and num_bytes:
                piece = unpacker.decompress(rest, min(num_bytes, _PIECE))
                rest = unpacker.unconsumed_tail
                num_bytes -= len(piece)
                if piece:
                    yield piece
        while num_bytes and (piece := unpacker.decompress(b"", min(num_bytes, _PIECE))):
            num_bytes -= len(piece)
            yield piece
    except zlib.error as exc:
        raise damaged("its pixels are damaged") from exc


def _pieces(chunks: Iterable[memoryview]) -> Iterator[bytes]:
    """Yield what the chunks hold in pieces that are neither small nor large."""
    parts: list[memoryview] = []
    size = 0
    for chunk in chunks:
        body = chunk[_BODY]
        if _CHECKSUM.unpack(chunk[-_CHECKSUM.size :]) != (zlib.crc32(chunk[4 : -_CHECKSUM.size]),):
            raise damaged("its pixels are damaged")
        for start in range(0, len(body), _PACKED_PIECE):
            parts.append(body[start : start + _PACKED_PIECE])
            size += len(parts[-1])
            if size >= _PACKED_PIECE:
                yield b"".join(parts)
                parts, size = [], 0
    yield b"".join(parts)


def _check_size(chunks: Iterable[memoryview], num_bytes: int) -> None:
    """Check that so many bytes are packed in these chunks, and no more."""
    found = sum(len(piece) for piece in _unpacked(chunks, num_bytes + 1))
    if found > num_bytes:
        raise damaged("it goes on behind its last pixel")
    if found < num_bytes:
        raise damaged(_ENDS_EARLY)


def _write_stored(file: bytearray, chunks: Iterable[memoryview], num_bytes: int) -> None:
    """Append the first bytes that are packed in these chunks as they are (RFC 1950, 2.2, and 1951, 3.2.4)."""
    checksum = zlib.adler32(b"")
    file += _new_chunk(_DATA, _ZLIB_HEADER)
    for piece in _unpacked(chunks, num_bytes):
        num_bytes -= len(piece)
        checksum = zlib.adler32(piece, checksum)
        for start in range(0, len(piece), _MAX_BLOCK):
            block = piece[start : start + _MAX_BLOCK]
            file += _new_chunk(_DATA, _BLOCK_HEADER.pack(0, len(block), len(block) ^ _MAX_BLOCK), block)
    if num_bytes:
        raise damaged(_ENDS_EARLY)
    file += _new_chunk(_DATA, _LAST_BLOCK, _CHECKSUM.pack(checksum))


def _new_chunk(kind: bytes, *body: bytes) -> bytes:
    checksum = zlib.crc32(kind)
    for part in body:
        checksum = zlib.crc32(part, checksum)
    header = _CHUNK_HEADER.pack(sum(map(len, body)), kind)
    return b"".join((header, *body, _CHECKSUM.pack(checksum)))
