import io

import cv2
import numpy as np
import pytest
from PIL import Image

from clas.errors import ImageError
from clas.image.conversion import converted
from clas.image.decode import DecodeImage

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)  # RGB
SERVERS_LIMIT = 10**6


def encoded(ending: str) -> bytes:
    return cv2.imencode(ending, PIXELS[..., ::-1])[1].tobytes()


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp"])
def test_what_a_server_takes_stays_as_it_is(ending: str) -> None:
    data = encoded(ending)
    assert converted(data) is data


def test_what_is_no_image_is_left_to_the_server_to_refuse() -> None:
    assert converted(b"no image") == b"no image"


def test_a_tiff_becomes_a_png_of_the_same_pixels() -> None:
    data = converted(encoded(".tiff"))
    assert data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(DecodeImage(SERVERS_LIMIT)(data), PIXELS)


def test_pixels_become_a_png() -> None:
    np.testing.assert_array_equal(DecodeImage(SERVERS_LIMIT)(converted(PIXELS)), PIXELS)


def test_a_damaged_tiff_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="the image can't be decoded"):
        converted(encoded(".tiff")[:50])


@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])
def test_photographs_that_no_server_takes_become_jpegs_close_to_them(file_format: str) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    pytest.importorskip("PIL.AvifImagePlugin")
    smooth = cv2.resize(PIXELS[:4, :5], (200, 160), interpolation=cv2.INTER_CUBIC)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, file_format, quality=95)
    data = converted(file.getvalue())
    assert data.startswith(b"\xff\xd8")
    difference = DecodeImage(SERVERS_LIMIT)(data).astype(int) - DecodeImage()(file.getvalue())
    assert np.abs(difference).mean() < 2
