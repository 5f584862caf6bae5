"""Reduces a JPEG file to its tables and scans, before native code sees it.

libjpeg links each EXIF segment behind all others, which takes a minute for 100,000 of them, and passes over
all blocks again with each of any number of progressive scans. Numbers in brackets are sections of ITU-T T.81.
"""

import re
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from . import exif
from .jpeg_scans import Frame, Scans
from .still import CheckSize, Still, damaged, unsupported

START: Final = b"\xff\xd8"

_MARKER: Final = re.compile(rb"\xff[\x01-\xfe]")  # FF FF is filler, FF 00 is data (B.1.1)
_END_OF_SCAN: Final = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")  # a restart isn't one
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment
_TABLES: Final = frozenset({0xC4, 0xDB, 0xDD})  # Huffman, quantization, restart interval
_DROPPED: Final = frozenset({0xDC, *range(0xE0, 0xF0), 0xFE})  # number of lines, application data, comment
_PROGRESSIVE: Final = 0xC2
_FRAMES: Final = frozenset({0xC0, 0xC1, _PROGRESSIVE})
_OTHER_FRAMES: Final = frozenset({0xC3, *range(0xC5, 0xD0)})  # lossless, hierarchical, arithmetic coding
_SCAN: Final = 0xDA
_END: Final = 0xD9
_EXIF: Final = 0xE1, b"Exif\0"
_COLORS: Final = ((0xE0, b"JFIF\0"), (0xEE, b"Adobe"))  # these two say what the components are
_KNOWN: Final = frozenset({_SCAN, *_TABLES, *_DROPPED, *_FRAMES})
_MAX_SEGMENTS: Final = 2000  # a color profile has up to 255, a depth map hundreds

_FRAME: Final = struct.Struct(">BHHB")  # precision, height, width, components (B.2.2)
_COMPONENTS: Final = (1, 3, 4)  # gray, YCbCr or RGB, CMYK
_FILLERS: Final = (bytes(64), b"\xaa" * 64)  # no Huffman code reads both alike
_RESTART: Final = 0xD0  # the first of 8 (E.2.4)
_FILE_END: Final = b"\xff\xd9"


class _Segment(NamedTuple):
    """A marker with its segment; a scan's with what follows it.

    Attributes:
        code: The marker.
        start: Where the marker is.
        body: Where the segment's body is, behind its length.
        end: Where the segment ends.
    """

    code: int
    start: int
    body: slice
    end: int

    def holds(self, data: bytes, kind: tuple[int, bytes]) -> bool:
        """Whether it is application data of this kind: its marker, and how its body begins."""
        return self.code == kind[0] and data.startswith(kind[1], self.body.start, self.body.stop)


def read(data: bytes, check_size: CheckSize) -> Still:
    """Check a JPEG file and reduce it to what the pixels need.

    A file that lacks only its end marker is completed.

    Raises:
        ImageError: It is damaged, of a kind that is hardly used, or costs too much for its pixels.
    """
    view = memoryview(data)
    parts: list[bytes | memoryview] = [START]
    scans: Scans | None = None
    segments = list(_segments(data))
    for segment in segments:
        if segment.code in (_SCAN, *_FRAMES):
            if (segment.code == _SCAN) == (scans is None):
                raise damaged("its header is damaged")
            if scans is None:
                scans = Scans(_read_frame(segment, data, check_size))
            else:
                scans.add(data[segment.body], segment.end - segment.body.stop)
        if segment.code not in _DROPPED or any(segment.holds(data, kind) for kind in _COLORS):
            parts.append(view[segment.start : segment.end])
    if scans is None:
        raise damaged("it has no pixels")
    is_cut = segments[-1].code != _END
    scans.check(is_cut=is_cut)
    exif_body = next((segment.body for segment in segments if segment.holds(data, _EXIF)), slice(0))
    file = b"".join(parts)
    one, other = _completed(file) if is_cut else (file, None)
    return Still(one, scans.frame.width, scans.frame.height, exif.orientation(view[exif_body]), other)


def _completed(file: bytes) -> list[bytes]:
    """Put the end marker behind the last scan, once for each filler."""
    file = file.rstrip(b"\0").rstrip(b"\xff")  # of a disk's block, and half of the marker
    scan = file.rfind(bytes((0xFF, _SCAN)))
    last = max(file.rfind(bytes((0xFF, code)), scan) for code in range(_RESTART, _RESTART + 8))
    restart = bytes((0xFF, _RESTART if last < 0 else _RESTART + (file[last + 1] + 1) % 8))
    return [file + filler + restart + filler + _FILE_END for filler in _FILLERS]


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the end marker, or to the end of the file."""
    end = len(START)
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(data, end)  # libjpeg skips what is no marker, too
        if marker is None:
            return
        start, end = marker.span()
        code = data[start + 1]
        if code in _ALONE:
            continue
        if code == _END:
            yield _Segment(code, start, slice(end, end), end)
            return
        body = _body(data, code, end)
        end = body.stop
        if code == _SCAN:
            next_marker = _END_OF_SCAN.search(data, end)
            end = next_marker.start() if next_marker else len(data)
        yield _Segment(code, start, body, end)
    raise damaged(f"it has more than {_MAX_SEGMENTS} segments")


def _body(data: bytes, code: int, start: int) -> slice:
    """Return where the body of a segment is, whose length stands at `start`."""
    if code in _OTHER_FRAMES:
        raise unsupported(f"a JPEG of this kind (marker {code:#x})")
    length = int.from_bytes(data[start : start + 2], "big")
    body = slice(start + 2, start + length)
    if code not in _KNOWN or body.start > body.stop:
        raise damaged("its header is damaged")
    if body.stop > len(data):
        raise damaged("it ends within a segment")
    return body


def _read_frame(segment: _Segment, data: bytes, check_size: CheckSize) -> Frame:
    header = data[segment.body]
    if len(header) < _FRAME.size:
        raise damaged("its header is damaged")
    precision, height, width, components = _FRAME.unpack_from(header)
    if precision != 8:  # noqa: PLR2004  # bits
        raise unsupported(f"a JPEG of {precision} bits")
    if not width or not height or len(header) != _FRAME.size + 3 * components:
        raise damaged("its header is damaged")
    if components not in _COMPONENTS:
        raise unsupported(f"a JPEG of {components} components")
    check_size(width, height)
    return Frame(width, height, components)
