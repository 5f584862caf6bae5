"""Checks a BMP file before native code sees it."""

import struct
from typing import Final

from .still import CheckSize, Still, damaged

START: Final = b"BM"

_FILE_HEADER: Final = 14
_OLD_HEADER: Final = 12  # BITMAPCOREHEADER
_HEADERS: Final = (40, 52, 56, 64, 108, 124)  # BITMAPINFOHEADER, its two extensions, OS/2's, versions 4 and 5
_BITS: Final = (1, 4, 8, 16, 24, 32)  # of a pixel
_PACKED: Final = (1, 2)  # run lengths of 8 and of 4 bits
_PLAIN: Final = (0, 3)  # without and with masks of the colors
_RUN: Final = 255  # the most pixels of a run
_RUN_BYTES: Final = 2


def read(data: bytes, check_size: CheckSize) -> Still:
    """Check a BMP file.

    Raises:
        ImageError: It is damaged, or of an unknown kind.
    """
    try:
        (offset, header_bytes) = struct.unpack_from("<II", data, 10)
        if header_bytes == _OLD_HEADER:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            packing = 0
        else:
            width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    except struct.error as exc:
        raise damaged("its header is damaged") from exc
    height = abs(height)  # negative if the first row is the top one
    if header_bytes not in (_OLD_HEADER, *_HEADERS) or bits not in _BITS or width <= 0 or not height:
        raise damaged("its header is damaged")
    check_size(width, height)
    if packing not in (*_PLAIN, *_PACKED) or offset < _FILE_HEADER + header_bytes:
        raise damaged("its header is damaged")
    row = (width * bits + 31) // 32 * 4
    num_bytes = row * height if packing in _PLAIN else width * height * _RUN_BYTES // _RUN
    if offset + num_bytes > len(data):
        raise damaged("it ends before its last pixel")
    return Still(data, width, height)
