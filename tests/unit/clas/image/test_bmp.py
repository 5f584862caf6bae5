import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from clas.errors import ImageError
from clas.image.decode import DecodeImage

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)


def bmp(mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(PHOTO).convert(mode).save(file, "BMP")
    return file.getvalue()


def packed(body: bytes) -> bytes:
    """41 x 30 pixels in runs, with a palette of 256 grays."""
    palette = b"".join(bytes((gray, gray, gray, 0)) for gray in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, 41, 30, 1, 8, 1, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + len(palette)) + header + palette + body


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_the_pixels_are_those_of_opencv(mode: str) -> None:
    file = bmp(mode)
    np.testing.assert_array_equal(
        DecodeImage()(file), cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    )


def test_runs_are_unpacked() -> None:
    image = DecodeImage()(packed(b"".join(bytes((41, row, 0, 0)) for row in range(30)) + b"\0\1"))
    np.testing.assert_array_equal(image, np.arange(29, -1, -1, np.uint8).repeat(41 * 3).reshape(30, 41, 3))


def test_the_first_row_may_be_the_top_one() -> None:
    file = bytearray(bmp())
    file[22:26] = struct.pack("<i", -30)
    np.testing.assert_array_equal(DecodeImage()(bytes(file)), PHOTO[::-1])


def test_the_old_header_is_read() -> None:
    header = struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, 4, 2, 1, 24)
    assert not DecodeImage()(b"BM" + header + bytes(24)).any()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (bmp()[:20], "its header is damaged"),
        (bmp()[:-1], "it ends before its last pixel"),
        (packed(b"\0\1"), "it ends before its last pixel"),
        (bmp()[:10] + struct.pack("<I", 53) + bmp()[14:], "its header is damaged"),
        (bmp()[:14] + struct.pack("<I", 41) + bmp()[18:], "its header is damaged"),
        (bmp()[:18] + struct.pack("<i", -41) + bmp()[22:], "its header is damaged"),
        (bmp()[:22] + struct.pack("<i", 0) + bmp()[26:], "its header is damaged"),
        (bmp()[:28] + struct.pack("<H", 3) + bmp()[30:], "its header is damaged"),
        (bmp()[:30] + struct.pack("<I", 5) + bmp()[34:], "its header is damaged"),
    ],
    ids=range(9),
)
def test_a_damaged_structure_is_refused(file: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage()(file)
