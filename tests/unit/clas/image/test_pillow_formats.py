import io

import numpy as np
import pytest
from PIL import Image

from clas.errors import ImageError
from clas.image.decode import DecodeImage
from clas.image.pillow_formats import format_of, missing_reader

SIZE = (48, 32)  # width, height
PILLOWS_NAMES = {"AVIF": "AVIF", "HEIC": "HEIF"}


def box(*brands: bytes) -> bytes:
    """The beginning of a file with these brands, the major one first."""
    first, *others = brands
    content = b"ftyp" + first + bytes(4) + b"".join(others)
    return (len(content) + 4).to_bytes(4, "big") + content + bytes(16)


def photograph(file_format: str, orientation: int = 1) -> bytes:
    """A red image with a blue left edge; skips where it can't be written."""
    if missing_reader(file_format):
        pytest.skip(f"{missing_reader(file_format)} isn't installed")
    image = Image.new("RGB", SIZE, (220, 30, 30))
    image.paste((30, 30, 220), (0, 0, 16, 32))
    exif = Image.Exif()  # type: ignore[no-untyped-call]
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, PILLOWS_NAMES[file_format], exif=exif.tobytes(), quality=95)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "file_format"),
    [
        (box(b"avif", b"mif1", b"miaf"), "AVIF"),
        (box(b"mif1", b"miaf", b"avif"), "AVIF"),
        (box(b"heic", b"mif1"), "HEIC"),
        (box(b"mif1", b"heic"), "HEIC"),
        (box(b"isom", b"mp42"), None),  # a film
        (b"\xff\xd8\xff\xe0 a JPEG", None),
        (b"", None),
    ],
)
def test_a_format_is_known_by_its_brands(data: bytes, file_format: str | None) -> None:
    assert format_of(data) == file_format


@pytest.mark.usefixtures("no_readers")
@pytest.mark.parametrize(
    ("brand", "needed"), [(b"heic", "HEIC needs pillow-heif"), (b"avif", "AVIF needs Pillow 11.3")]
)
def test_without_a_reader_the_reason_names_it(brand: bytes, needed: str) -> None:
    with pytest.raises(ImageError, match=f"the image can't be decoded: {needed}, which isn't installed"):
        DecodeImage()(box(brand))


@pytest.mark.parametrize("file_format", ["AVIF", "HEIC"])
def test_a_photograph_is_decoded_upright(file_format: str) -> None:
    image = DecodeImage()(photograph(file_format))
    assert image.shape == (32, 48, 3)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image[16, 8], (30, 30, 220), atol=12)
    np.testing.assert_allclose(image[16, 40], (220, 30, 30), atol=12)
    turned = DecodeImage()(photograph(file_format, orientation=6))  # to be turned right: left becomes top
    assert turned.shape == (48, 32, 3)
    np.testing.assert_allclose(turned[8, 16], (30, 30, 220), atol=12)


@pytest.mark.parametrize("file_format", ["AVIF", "HEIC"])
def test_damage_and_size_are_image_errors(file_format: str) -> None:
    data = photograph(file_format)
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage()(data[: len(data) // 2])
    with pytest.raises(ImageError, match="the image has 48 x 32 pixels; max_image_pixels is 100"):
        DecodeImage(100, is_own=True)(data)


@pytest.mark.parametrize("brand", [b"heic", b"avif"])
def test_a_server_takes_none_of_them(brand: bytes) -> None:
    with pytest.raises(ImageError, match=r"it is none of JPEG, PNG, BMP, WEBP$"):
        DecodeImage(10**6)(box(brand))
