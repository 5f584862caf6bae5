import contextlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageOps

from clas.errors import ImageError
from clas.image.decode import DecodeImage, count_pixels

RED = np.full((8, 10, 3), (255, 0, 0), np.uint8)


def encoded(image: npt.NDArray[Any], ending: str = ".png") -> bytes:
    """Encode as OpenCV does: BGR."""
    return cv2.imencode(ending, image)[1].tobytes()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims this size, and has next to no pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("max_pixels", [None, 100])
@pytest.mark.parametrize("ending", [".png", ".bmp", ".webp", ".jpg"])
def test_images_are_decoded_to_rgb(ending: str, max_pixels: int | None) -> None:
    image = DecodeImage(max_pixels)(encoded(RED[..., ::-1], ending))
    assert image.shape == (8, 10, 3)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image, RED, atol=3)


@pytest.mark.parametrize(
    "stored",
    [
        np.full((4, 4), 128, np.uint8),
        np.full((4, 4, 4), 128, np.uint8),
        np.full((4, 4, 3), 128 * 256, np.uint16),
    ],
    ids=["grey", "alpha", "16 bit"],
)
def test_other_kinds_of_pixels_become_8_bit_rgb(stored: npt.NDArray[Any]) -> None:
    image = DecodeImage(100)(encoded(stored))
    np.testing.assert_array_equal(image, np.full((4, 4, 3), 128, np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_is_turned_by_its_orientation(kind: str, orientation: int) -> None:
    """Each quarter has a colour of its own, so that no two of the eight look alike."""
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :32, 0] = stored[:16, 32:, 1] = stored[16:, :32, 2] = 255
    file, exif = io.BytesIO(), PillowImage.Exif()  # type: ignore[no-untyped-call]
    exif[0x0112] = orientation
    lossless: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    PillowImage.fromarray(stored).save(file, kind, exif=exif, **lossless)
    shown = ImageOps.exif_transpose(PillowImage.open(file))
    assert shown is not None
    image = DecodeImage()(file.getvalue())
    assert image.shape == ((64, 32, 3) if orientation > 4 else (32, 64, 3))
    np.testing.assert_allclose(image.astype(int), np.asarray(shown.convert("RGB")).astype(int), atol=3)


def test_a_reduced_jpeg_is_turned_too() -> None:
    file, exif = io.BytesIO(), PillowImage.Exif()  # type: ignore[no-untyped-call]
    exif[0x0112] = 6
    PillowImage.new("RGB", (400, 200)).save(file, "JPEG", exif=exif)
    assert DecodeImage(reduce_to=50)(file.getvalue()).shape == (200, 100, 3)


@pytest.mark.parametrize("max_pixels", [None, 100])
@pytest.mark.parametrize("data", [b"", b"no image", encoded(RED)[:60]], ids=["empty", "text", "truncated"])
def test_what_is_no_image_is_refused(data: bytes, max_pixels: int | None) -> None:
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage(max_pixels)(data)


def test_other_formats_are_refused_where_size_counts() -> None:
    with pytest.raises(ImageError, match=r"none of JPEG, PNG, BMP, WEBP$"):
        DecodeImage(100)(encoded(RED, ".tiff"))
    assert DecodeImage()(encoded(RED, ".tiff")).shape == RED.shape


@pytest.mark.parametrize("ending", [".jp2", ".ppm", ".hdr", ".sr"])
def test_formats_that_nothing_here_checks_reach_no_decoder(ending: str) -> None:
    file = encoded(np.zeros((64, 64, 3), np.float32 if ending == ".hdr" else np.uint8), ending)
    with pytest.raises(ImageError, match=r"none of JPEG, PNG, BMP, WEBP, TIFF$"):
        DecodeImage()(file)


def test_a_file_in_which_the_decoder_finds_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.imdecode", lambda *_: np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ImageError, match="its header is damaged"):
        DecodeImage()(encoded(RED))


def test_an_error_of_opencv_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise cv2.error("no memory")

    monkeypatch.setattr("cv2.imdecode", fail)
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage()(encoded(RED))


def test_a_damaged_header_is_refused() -> None:
    damaged = bytearray(png_header(8, 8))
    damaged[24] ^= 255  # the bit depth, which the checksum covers
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage(100)(bytes(damaged))


def test_more_pixels_than_opencv_bears_are_refused_where_size_does_not_count() -> None:
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage()(png_header(100_000, 100_000))


def test_pillow_is_not_needed(repository: Path) -> None:
    """A machine that only sends requests hasn't got it."""
    code = "import sys; sys.modules['PIL'] = None; from clas.image.decode import DecodeImage as D; "
    code += "print(D(10**6, 50)(sys.stdin.buffer.read()).shape)"
    file = encoded(np.zeros((200, 200, 3), np.uint8), ".jpg")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=file, cwd=repository, capture_output=True, check=True)
    assert done.stdout.strip() == b"(100, 100, 3)"


def test_a_header_of_an_unknown_kind_is_refused() -> None:
    damaged = bytearray(encoded(RED, ".bmp"))
    damaged[14] = 7  # the size of the header, by which its kind is known
    with pytest.raises(ImageError, match="its header is damaged"):
        DecodeImage(100)(bytes(damaged))


@given(
    ending=st.sampled_from([".png", ".bmp", ".webp", ".jpg"]),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=20),
    keep=st.integers(0, 2000),
)
def test_any_damage_ends_in_an_image_or_in_our_error(
    ending: str, changes: list[tuple[int, int]], keep: int
) -> None:
    data = bytearray(encoded(RED, ending))
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(ImageError):
        image = DecodeImage(10_000)(bytes(data[:keep]))
        assert image.size <= 3 * 10_000


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (11, 10, "the image has 11 x 10 pixels; max_image_pixels is 100"),
        (100_000, 100_000, "the image has 100000 x 100000 pixels; max_image_pixels is 100"),
    ],
)
def test_too_many_pixels_are_refused_by_the_header_alone(width: int, height: int, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage(100)(png_header(width, height))


def test_a_photograph_is_decoded_as_opencv_reads_it(photographs: Path) -> None:
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        file = photographs / name
        expected = cv2.imread(str(file))
        assert expected is not None
        np.testing.assert_array_equal(DecodeImage(10**8)(file.read_bytes()), expected[..., ::-1])


@pytest.mark.parametrize(
    ("side", "reduced"), [(1600, 200), (1599, 400), (800, 200), (799, 400), (400, 200), (399, 399)]
)
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size_if_asked(side: int, reduced: int) -> None:
    file = encoded(np.zeros((side, side + 8, 3), np.uint8), ".jpg")
    assert DecodeImage(10**7, reduce_to=100)(file).shape[0] == reduced
    assert DecodeImage(10**7)(file).shape[0] == side


def test_a_reduced_jpeg_is_rgb_too() -> None:
    file = encoded(np.full((400, 400, 3), (0, 0, 255), np.uint8), ".jpg")  # red, as OpenCV has it
    image = DecodeImage(reduce_to=100)(file)
    np.testing.assert_allclose(image, np.full((200, 200, 3), (255, 0, 0)), atol=3)


@pytest.mark.parametrize("ending", [".png", ".tiff", ".webp", ".bmp"])
def test_other_formats_are_never_reduced(ending: str) -> None:
    file = encoded(np.zeros((900, 900, 3), np.uint8), ending)
    assert DecodeImage(reduce_to=100)(file).shape[0] == 900


def test_a_decoder_shows_its_limits() -> None:
    assert repr(DecodeImage(5, 6)) == "DecodeImage(max_pixels=5, reduce_to=6)"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_pixels_are_counted_without_decoding_them(suffix: str) -> None:
    data = cv2.imencode(suffix, np.zeros((30, 50, 3), np.uint8))[1].tobytes()
    assert count_pixels(data) == 1500


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0"])
def test_pixels_of_what_is_no_image_can_not_be_counted(data: bytes) -> None:
    with pytest.raises(ImageError, match="can't be decoded"):
        count_pixels(data)
