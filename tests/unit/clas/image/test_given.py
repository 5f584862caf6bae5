import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from clas.errors import ImageError, RequestError
from clas.image.decode import DecodeImage
from clas.image.given import rgb_of, sources_of

NOISE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
GREY = np.ascontiguousarray(NOISE[..., 0])


def loaded(given: object, channels: str = "RGB") -> list[Any]:
    return [source.load() for source in sources_of(given, channels)]


def file_of(image: PIL.Image.Image, ending: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, ending, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("given", "channels", "rgb"),
    [
        (NOISE, "RGB", NOISE),
        (NOISE, "BGR", NOISE[..., ::-1]),
        (GREY, "RGB", np.stack([GREY] * 3, axis=2)),
        (GREY, "BGR", np.stack([GREY] * 3, axis=2)),
        (GREY[..., np.newaxis], "RGB", np.stack([GREY] * 3, axis=2)),
        (NOISE[:, ::-1], "RGB", NOISE[:, ::-1]),  # not contiguous
        (PIL.Image.fromarray(NOISE), "BGR", NOISE),  # Pillow's are RGB whatever arrays are
        (PIL.Image.fromarray(GREY), "RGB", np.stack([GREY] * 3, axis=2)),
    ],
)
def test_an_image_in_memory_becomes_rgb(given: Any, channels: str, rgb: Any) -> None:
    [image] = loaded(given, channels)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, rgb)


def test_all_kinds_go_together_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(content := file_of(PIL.Image.fromarray(NOISE)))
    sources = sources_of([str(file), file, content, bytearray(content), NOISE])
    assert [source.name for source in sources] == [
        str(file),
        str(file),
        "images[2]",
        "images[3]",
        "images[4]",
    ]
    *files, array = (source.load() for source in sources)
    assert files == [content] * 4
    np.testing.assert_array_equal(array, NOISE)


def test_one_image_and_many_in_one_array_are_told_apart(tmp_path: Path) -> None:
    assert len(sources_of(str(tmp_path))) == len(sources_of(b"bytes")) == len(sources_of(NOISE)) == 1
    assert len(sources_of(np.stack([NOISE, NOISE]))) == 2
    assert len(sources_of(name for name in ("a", "b", "c"))) == 3
    assert sources_of([]) == []


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 99])
def test_an_image_of_pillow_is_turned_as_its_file_would_be(orientation: int) -> None:
    exif = PIL.Image.Exif()  # type: ignore[no-untyped-call]
    exif[0x0112] = orientation
    content = file_of(PIL.Image.fromarray(NOISE), exif=exif)
    [image] = loaded(PIL.Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(image, DecodeImage()(content))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_an_image_of_pillow_has_the_pixels_of_its_file(mode: str) -> None:
    picture = PIL.Image.fromarray(NOISE).convert(mode)
    [image] = loaded(picture)
    np.testing.assert_array_equal(image, DecodeImage()(file_of(picture)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((8, 8, 2), np.uint8), r"the image is \[8, 8, 2\] of uint8; it takes an array"),
        (np.zeros((8, 8, 4), np.uint8), r"the image is \[8, 8, 4\] of uint8; it takes an array"),
        (np.zeros((8, 8), np.float32), r"the image is \[8, 8\] of float32; it takes an array"),
        (np.zeros((8, 0, 3), np.uint8), r"the image is \[8, 0, 3\] of uint8"),
        (np.zeros(8, np.uint8), r"the image is \[8\] of uint8"),
        (None, "the image is of type NoneType"),
        (PIL.Image.new("I;16", (4, 4)), "the image is of Pillow's mode I;16; convert it to RGB first"),
        (PIL.Image.new("F", (4, 4)), "the image is of Pillow's mode F"),
    ],
)
def test_what_would_become_another_image_in_silence_is_refused(given: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        rgb_of(given, "RGB")


def test_a_file_of_pillow_that_breaks_off_is_no_image() -> None:
    content = file_of(PIL.Image.fromarray(np.tile(NOISE, (50, 50, 1))))
    with pytest.raises(ImageError, match="the image can't be decoded: "):
        rgb_of(PIL.Image.open(io.BytesIO(content[: len(content) // 2])), "RGB")


@pytest.mark.parametrize(
    ("given", "channels", "message"),
    [
        (5, "RGB", "the images are of type int; it takes one image, or a list"),
        (None, "RGB", "the images are of type NoneType"),
        (NOISE, "rgb", "channels is 'rgb'; it takes RGB or BGR"),
    ],
)
def test_invalid_arguments_are_refused(given: object, channels: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        sources_of(given, channels)


def test_opencv_and_pillow_give_the_same_image(photographs: Path) -> None:
    path = str(photographs / "coffee.png")
    [of_opencv] = loaded(cv2.imread(path), "BGR")
    [of_pillow] = loaded(PIL.Image.open(path))
    np.testing.assert_array_equal(of_opencv, of_pillow)
