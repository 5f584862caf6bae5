import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from clas.errors import ImageError
from clas.image.decode import DecodeImage
from clas.image.webp import read

PHOTO = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), (5, 5), 0)
CLEAR = np.concatenate([PHOTO, PHOTO[..., :1]], -1)


def webp(image: np.ndarray[Any, Any] = PHOTO, **options: Any) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(image).save(file, "WEBP", **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    return chunk(b"RIFF", b"WEBP" + b"".join(chunks))


def bitstream(file: bytes) -> bytes:
    """The last chunk of a simple file."""
    return file[12:]


KINDS = {
    "lossy": webp(),
    "lossless": webp(lossless=True),
    "lossy with alpha": webp(CLEAR),
    "lossless with alpha": webp(CLEAR, lossless=True),
    "metadata": webp(exif=b"Exif\0\0none", icc_profile=b"profile"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_of_the_whole_file(kind: str) -> None:
    expected = cv2.imdecode(np.frombuffer(KINDS[kind], np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(DecodeImage()(KINDS[kind]), expected)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("image", [PHOTO, CLEAR], ids=["opaque", "alpha"])
def test_an_animation_is_its_first_image(image: np.ndarray[Any, Any], lossless: bool) -> None:
    others = [PillowImage.fromarray(np.ascontiguousarray(image[::-1]))]
    animated = webp(image, lossless=lossless, save_all=True, append_images=others)
    assert b"ANMF" in animated
    assert b"ANMF" not in read(animated, lambda *_: None).data
    expected = np.asarray(PillowImage.open(io.BytesIO(animated)))[..., :3]
    np.testing.assert_array_equal(DecodeImage()(animated), expected)


def test_metadata_reaches_no_decoder() -> None:
    assert read(KINDS["metadata"], lambda *_: None).data == KINDS["lossy"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_refused(kind: str) -> None:
    for missing in range(2, len(KINDS[kind]), 7):
        with pytest.raises(ImageError, match="the image can't be decoded"):
            DecodeImage()(KINDS[kind][:-missing])


EXTENDED = chunk(b"VP8X", bytes(4) + struct.pack("<I", 63)[:3] + struct.pack("<I", 47)[:3])
FRAME = bytes(6) + EXTENDED[12:18] + bytes(4)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (riff(), "it has no pixels"),
        (riff(EXTENDED), "it has no pixels"),
        (riff(EXTENDED, chunk(b"ANMF", FRAME)), "it has no pixels"),
        (riff(EXTENDED[:12], bitstream(webp())), "it ends within a chunk"),
        (riff(chunk(b"VP8X", bytes(10)), bitstream(webp())), "its header is damaged"),
        (riff(chunk(b"VP8 ", bytes(30))), "its header is damaged"),
        (riff(chunk(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + bytes(20))), "its header is damaged"),
        (riff(chunk(b"VP8L", bytes(30))), "its header is damaged"),
        (riff(chunk(b"VP8L", b"\x2f")), "its header is damaged"),
        (riff(chunk(b"VP8L", b"\x2f\0\0\0\xff" + bytes(9))), "its header is damaged"),
        (riff(chunk(b"abcd", b"") * 100_001), "it has more than 100000 chunks"),
        (riff(chunk(b"ANMF", FRAME + bitstream(webp()))), "an animation whose first image is smaller"),
        (
            riff(EXTENDED, chunk(b"ANMF", b"\1" + FRAME[1:] + bitstream(webp()))),
            "an animation whose first image is smaller than the others isn't supported",
        ),
        (riff(EXTENDED, chunk(b"ANMF", b"")), "an animation whose first image is smaller"),
    ],
    ids=range(14),
)
def test_a_damaged_structure_is_refused(file: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage()(file)


def test_the_size_is_checked_first() -> None:
    with pytest.raises(ImageError, match="the image has 64 x 48 pixels; max_image_pixels is 100"):
        DecodeImage(100)(webp())


def test_what_is_riff_but_no_webp_is_refused() -> None:
    with pytest.raises(ImageError, match="it is RIFF, but not WebP"):
        DecodeImage()(webp().replace(b"WEBP", b"WAVE"))
