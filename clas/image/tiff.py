"""Reduces a TIFF file to its first image, before native code sees it.

Numbers in brackets are sections of TIFF 6.0.
"""

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from . import exif
from .still import CheckSize, Still, damaged, unsupported

STARTS: Final = {b"II*\0": "<", b"MM\0*": ">"}
"""How a file begins, and its byte order as `struct` has it."""

_WIDTH, _HEIGHT, _BITS, _PACKING, _COLORS = 256, 257, 258, 259, 262
_STRIPS, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _STRIP_SIZES = 273, 274, 277, 278, 279
_PLANES, _PREDICTOR, _PALETTE = 284, 317, 320
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 322, 323, 324, 325
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_COPIED: Final = (
    *(_WIDTH, _HEIGHT, _BITS, _PACKING, _COLORS, _SAMPLES, _STRIP_ROWS, _PLANES),
    *(_PREDICTOR, _PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLES, _SAMPLE_FORMAT),
)
_READ: Final = frozenset({*_COPIED, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES, _ORIENTATION})

_TYPES: Final = {1: "B", 3: "H", 4: "I"}  # the whole numbers, which all of these are (2)
_LONG: Final = 4
_HEADER_BYTES: Final = 8
_MAGIC: Final = {order: start for start, order in STARTS.items()}
_ENTRY_BYTES: Final = 12
_IN_PLACE: Final = 4  # bytes of a value that stands in its entry
_MAX_VALUES: Final = 100_000

_SEPARATE: Final = 2  # each sample has strips of its own
_PLAIN: Final = 1
_PACKINGS: Final = (_PLAIN, 5, 8, 32773, 32946)  # LZW, deflate, PackBits, deflate's first number
_RATIO: Final = 1400  # LZW packs up to 1365 to 1, and deflate 1032
_KNOWN_COLORS: Final = (0, 1, 2, 3, 5)  # white is 0, black is 0, RGB, palette, CMYK
_KNOWN_BITS: Final = (1, 2, 4, 8, 16)
_MAX_SAMPLES: Final = 4
_MAX_TILE: Final = 2**20  # pixels of a tile that is larger than its image

_Tags = dict[int, tuple[int, Sequence[int]]]
"""Type and values by tag."""


def read(data: bytes, check_size: CheckSize) -> Still:
    """Check a TIFF file and reduce it to its first image.

    Raises:
        ImageError: It is damaged, or of a kind that is hardly used.
    """
    order = STARTS[data[:4]]
    try:
        tags = _read_tags(data, order)
    except struct.error as exc:
        raise damaged("its header is damaged") from exc
    width, height = _value(tags, _WIDTH), _value(tags, _HEIGHT)
    if not width or not height:
        raise damaged("its header is damaged")
    check_size(width, height)
    _check_kind(tags)
    parts = _read_parts(data, tags, width, height)
    orientation = _value(tags, _ORIENTATION, exif.UPRIGHT)
    if orientation > exif.LAST:
        orientation = exif.UPRIGHT
    return Still(_written(order, tags, parts), width, height, orientation or exif.UPRIGHT)


def _read_tags(data: bytes, order: str) -> _Tags:
    """Read the first directory (2)."""
    tags: _Tags = {}
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (num_entries,) = struct.unpack_from(f"{order}H", data, start)
    for entry in range(start + 2, start + 2 + num_entries * _ENTRY_BYTES, _ENTRY_BYTES):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        if tag not in _READ or tag in tags:
            continue
        if kind not in _TYPES or not 0 < count <= _MAX_VALUES:
            raise damaged("its header is damaged")
        values = f"{order}{count}{_TYPES[kind]}"
        place = entry + 8
        if struct.calcsize(values) > _IN_PLACE:
            (place,) = struct.unpack_from(f"{order}I", data, place)
        tags[tag] = kind, struct.unpack_from(values, data, place)
    return tags


def _check_kind(tags: _Tags) -> None:
    """Check that the pixels are kept in one of the ways that are widely used."""
    for tag, known, what in (
        (_PACKING, _PACKINGS, "compression"),
        (_COLORS, _KNOWN_COLORS, "photometric interpretation"),
        (_BITS, _KNOWN_BITS, "number of bits"),
        (_SAMPLES, range(1, _MAX_SAMPLES + 1), "number of samples"),
        (_PLANES, (1, _SEPARATE), "planar configuration"),
    ):
        value = _value(tags, tag, 1)
        if value not in known:
            raise unsupported(f"a TIFF of this {what} ({value})")


def _read_parts(data: bytes, tags: _Tags, width: int, height: int) -> list[bytes]:
    """Return the strips (3) or tiles (15)."""
    tile_width, tile_height = width, _value(tags, _STRIP_ROWS, height)
    places_of, sizes_of = _STRIPS, _STRIP_SIZES
    if _TILES in tags:
        places_of, sizes_of = _TILES, _TILE_SIZES
        tile_width, tile_height = _value(tags, _TILE_WIDTH), _value(tags, _TILE_HEIGHT)
        if tile_width * tile_height > max(_MAX_TILE, 4 * width * height):
            raise damaged("its header is damaged")
    if not tile_width or not tile_height or places_of not in tags or sizes_of not in tags:
        raise damaged("its header is damaged")
    count = -(-width // tile_width) * -(-height // tile_height)
    samples = _value(tags, _SAMPLES, 1)
    if _value(tags, _PLANES) == _SEPARATE:
        count *= samples
    places, sizes = tags[places_of][1], tags[sizes_of][1]
    if not len(places) == len(sizes) == count:
        raise damaged("its header is damaged")
    packed = sum(sizes) * (1 if _value(tags, _PACKING, _PLAIN) == _PLAIN else _RATIO)
    parts = [data[place : place + size] for place, size in zip(places, sizes, strict=True)]
    is_whole = [len(part) for part in parts] == list(sizes)
    if not is_whole or 8 * packed < width * height * samples * _value(tags, _BITS, 1):
        raise damaged("it ends before its last pixel")
    return parts


def _written(order: str, tags: _Tags, parts: Sequence[bytes]) -> bytes:
    """Return a file with nothing but this image."""
    places = list(accumulate((len(part) for part in parts[:-1]), initial=_HEADER_BYTES))
    kept = {tag: tags[tag] for tag in _COPIED if tag in tags}
    places_of, sizes_of = (_TILES, _TILE_SIZES) if _TILES in tags else (_STRIPS, _STRIP_SIZES)
    kept[places_of] = _LONG, places
    kept[sizes_of] = _LONG, [len(part) for part in parts]
    body = b"".join(parts)
    body += bytes(len(body) % 2)
    entries = b""
    for tag, (kind, values) in sorted(kept.items()):
        value = struct.pack(f"{order}{len(values)}{_TYPES[kind]}", *values)
        if len(value) > _IN_PLACE:
            place = _HEADER_BYTES + len(body)
            body += value + bytes(len(value) % 2)
            value = struct.pack(f"{order}I", place)
        entries += struct.pack(f"{order}HHI4s", tag, kind, len(values), value)
    start = _MAGIC[order] + struct.pack(f"{order}I", _HEADER_BYTES + len(body))
    return b"".join((start, body, struct.pack(f"{order}H", len(kept)), entries, bytes(4)))


def _value(tags: _Tags, tag: int, default: int = 0) -> int:
    return tags[tag][1][0] if tag in tags else default
