"""The orientation in EXIF data, and how an image is turned by it."""

import struct
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

UPRIGHT: Final = 1
LAST: Final = 8

_PREFIX: Final = b"Exif\0\0"
_BYTE_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_ENTRY_BYTES: Final = 12
_ORIENTATION: Final = 0x0112
_SHORT: Final = 3  # 16 bits

_FLIPS: Final = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""cv2.flip's code of each orientation: 1 left and right, 0 top and bottom, -1 both."""
_TRANSPOSED: Final = 5
"""The first of the orientations whose rows are columns."""


def orientation(data: bytes | memoryview) -> int:
    """Return the orientation, 1 to 8, of EXIF data; 1 if there is none, or the data is damaged.

    Args:
        data: A TIFF header with its first directory, behind "Exif" and two zeros or not (source: EXIF 2.3,
            4.5).
    """
    if data[: len(_PREFIX)] == _PREFIX:
        data = data[len(_PREFIX) :]
    order = _BYTE_ORDERS.get(bytes(data[:4]))
    if order is None:
        return UPRIGHT
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for number in range(count):
            entry = start + 2 + number * _ENTRY_BYTES
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and UPRIGHT <= value <= LAST else UPRIGHT
    except struct.error:  # it ends there
        pass
    return UPRIGHT


def turned(image: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Return an image as it is to be shown.

    Args:
        image: [height, width, 3], as stored.
        orientation: 1 to 8.
    """
    if orientation >= _TRANSPOSED:
        image = cv2.transpose(image)  # type: ignore[assignment]
    if orientation in _FLIPS:
        image = cv2.flip(image, _FLIPS[orientation])  # type: ignore[assignment]
    return image
