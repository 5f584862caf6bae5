import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from clas.errors import ImageError
from clas.image.decode import DecodeImage
from clas.image.tiff import read

PHOTO = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), (5, 5), 0)


def tiff(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(PHOTO).convert(mode).save(file, "TIFF", **options)
    return file.getvalue()


def with_value(file: bytes, tag: int, value: int, kind: int = 4) -> bytes:
    """Change the value of a tag that stands in its entry."""
    changed = bytearray(file)
    (start,) = struct.unpack_from("<I", file, 4)
    (count,) = struct.unpack_from("<H", file, start)
    entry = next(
        entry
        for entry in range(start + 2, start + 2 + 12 * count, 12)
        if struct.unpack_from("<H", file, entry) == (tag,)
    )
    struct.pack_into("<HHII", changed, entry, tag, kind, 1, value)
    return bytes(changed)


def tiled(tile: int = 64) -> bytes:
    """A gray image of 48 rows and 64 columns in one tile."""
    tags = {256: 64, 257: 48, 258: 8, 259: 1, 262: 1, 277: 1, 322: tile, 323: 64, 324: 8, 325: tile * 64}
    body = bytes(range(64)) * 64
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (
        b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


@pytest.mark.parametrize("packing", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_the_pixels_are_those_of_the_whole_file(mode: str, packing: str) -> None:
    file = tiff(mode, compression=packing)
    np.testing.assert_array_equal(
        DecodeImage()(file), cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_16_bits_are_read(order: str) -> None:
    """A strip for each sample."""
    body = np.full((3, 4, 5), 0x8000, f"{order}u2").tobytes()
    shorts = {256: 5, 257: 4, 259: 1, 262: 2, 277: 3, 278: 4, 284: 2}
    end = 8 + len(body)
    longs = {258: (3, struct.pack(f"{order}3H", 16, 16, 16)), 273: (4, struct.pack(f"{order}3I", 8, 48, 88))}
    longs[279] = (4, struct.pack(f"{order}3I", 40, 40, 40))
    entries = {tag: struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    for tag, (kind, values) in longs.items():
        entries[tag] = struct.pack(f"{order}HHII", tag, kind, 3, end)
        body += values
        end += len(values)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", end)
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    file = start + body + directory + bytes(4)
    image = DecodeImage()(file)
    np.testing.assert_array_equal(image, np.full((4, 5, 3), 128, np.uint8))


def test_tiles_are_read() -> None:
    image = DecodeImage()(tiled())
    np.testing.assert_array_equal(image[..., 0], np.arange(64, dtype=np.uint8)[None].repeat(48, 0))


def test_of_several_images_the_first_is_kept() -> None:
    others = [PillowImage.fromarray(PHOTO[::-1].copy())]
    several = tiff(save_all=True, append_images=others, description="text")
    assert (DecodeImage()(several) == PHOTO).all()
    assert len(read(several, lambda *_: None).data) < PHOTO.size + 300


@pytest.mark.parametrize("packing", ["raw", "tiff_lzw"])
def test_a_cut_file_is_refused(packing: str) -> None:
    file = tiff(compression=packing)
    for missing in range(1, len(file) - 4, 97):
        with pytest.raises(ImageError, match="the image can't be decoded"):
            DecodeImage()(file[:-missing])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (tiff(compression="jpeg"), r"a TIFF of this compression \(7\) isn't supported"),
        (tiff("1", compression="group4"), r"a TIFF of this compression \(4\) isn't supported"),
        (with_value(tiff(), 262, 8), r"a TIFF of this photometric interpretation \(8\) isn't supported"),
        (with_value(tiff("L"), 258, 32), r"a TIFF of this number of bits \(32\) isn't supported"),
        (with_value(tiff(), 277, 9), r"a TIFF of this number of samples \(9\) isn't supported"),
        (with_value(tiff(), 284, 3), r"a TIFF of this planar configuration \(3\) isn't supported"),
        (with_value(tiff(), 256, 0), "its header is damaged"),
        (with_value(tiff(), 256, 64, kind=5), "its header is damaged"),
        (with_value(tiff(), 256, 9000), "it ends before its last pixel"),
        (with_value(tiff(), 278, 1), "its header is damaged"),
        (with_value(tiff(), 273, 10**9), "it ends before its last pixel"),
        (
            with_value(with_value(tiff(compression="tiff_lzw"), 257, 10**6), 278, 10**6),
            "it ends before its last pixel",
        ),
        (with_value(tiled(), 322, 10**6), "its header is damaged"),
        (with_value(tiled(), 325, 0), "it ends before its last pixel"),
        (b"II*\0" + bytes(8), "its header is damaged"),
        (b"II+\0" + bytes(8), "it is none of"),
    ],
    ids=range(16),
)
def test_what_is_damaged_or_rare_is_refused(file: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage()(file)


def test_an_orientation_that_there_is_not_turns_nothing() -> None:
    file = io.BytesIO()
    PillowImage.fromarray(PHOTO).save(file, "TIFF", tiffinfo={274: 6})
    assert DecodeImage()(file.getvalue()).shape == (64, 48, 3)
    for value in (0, 9):
        assert DecodeImage()(with_value(file.getvalue(), 274, value, kind=3)).shape == (48, 64, 3)
