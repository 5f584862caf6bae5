import contextlib
import io
import struct
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

from clas.errors import ImageError, SettingsError
from clas.image.transforms import (
    CenterCrop,
    Compose,
    DecodeImage,
    Normalize,
    NormalizeToCHW,
    Resize,
    ResizeShort,
    ToCHW,
    create_transforms,
)
from clas.settings import CV2_ONLY, PIL_ONLY, Settings

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


def test_exif_orientation_is_honoured() -> None:
    file, exif = io.BytesIO(), PillowImage.Exif()  # type: ignore[no-untyped-call]
    exif[0x0112] = 6  # to be turned by 90 degrees
    PillowImage.fromarray(RED).save(file, "JPEG", exif=exif)
    assert DecodeImage(100)(file.getvalue()).shape == (10, 8, 3)


@pytest.mark.parametrize("max_pixels", [None, 100])
@pytest.mark.parametrize("data", [b"", b"no image", encoded(RED)[:60]], ids=["empty", "text", "truncated"])
def test_what_is_no_image_is_refused(data: bytes, max_pixels: int | None) -> None:
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage(max_pixels)(data)


def test_other_formats_are_refused_where_size_counts() -> None:
    with pytest.raises(ImageError, match="none of JPEG, PNG, BMP, WEBP"):
        DecodeImage(100)(encoded(RED, ".tiff"))
    assert DecodeImage()(encoded(RED, ".tiff")).shape == RED.shape


def test_a_damaged_header_is_refused() -> None:
    damaged = bytearray(png_header(8, 8))
    damaged[24] ^= 255  # the bit depth, which the checksum covers
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage(100)(bytes(damaged))


def test_more_pixels_than_opencv_bears_are_refused_where_size_does_not_count() -> None:
    with pytest.raises(ImageError, match="the image can't be decoded"):
        DecodeImage()(png_header(100_000, 100_000))


def test_a_header_that_pillow_can_not_read_is_refused() -> None:
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
        (100_000, 100_000, "the image is too large; max_image_pixels is 100"),
    ],
)
def test_too_many_pixels_are_refused_by_the_header_alone(width: int, height: int, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage(100)(png_header(width, height))


@pytest.mark.parametrize(
    ("shape", "resized"), [((300, 400), (256, 341)), ((400, 300), (341, 256)), ((100, 100), (256, 256))]
)
def test_the_short_side_gets_the_size(shape: tuple[int, int], resized: tuple[int, int]) -> None:
    assert ResizeShort(256)(np.zeros((*shape, 3), np.uint8)).shape == (*resized, 3)


def test_an_elongated_image_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(ImageError, match="has 1000000 x 1 pixels, and would have 256000000 x 256"):
        ResizeShort(256)(np.zeros((1, 1_000_000, 3), np.uint8))


def test_the_middle_is_cropped() -> None:
    image = np.arange(6 * 9).reshape(6, 9, 1)
    np.testing.assert_array_equal(CenterCrop(3)(image), image[1:4, 3:6])


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ImageError, match="the image has 9 x 6 pixels; crop_size is 7"):
        CenterCrop(7)(np.zeros((6, 9, 3), np.uint8))


def test_normalize_is_that_of_imagenet() -> None:
    normalized = Normalize()(np.full((1, 1, 3), 255, np.uint8))
    assert normalized.dtype == np.float32
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(normalized[0, 0], expected, rtol=1e-6)


def test_channels_come_first_and_contiguous() -> None:
    image = np.arange(24).reshape(2, 4, 3)
    moved = ToCHW()(image)
    assert moved.shape == (3, 2, 4)
    assert moved.flags.c_contiguous
    assert moved[2, 1, 3] == image[1, 3, 2]


def test_steps_can_be_left_out() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    assert create_transforms()(image).shape == (3, 224, 224)
    assert create_transforms(to_chw=False)(image).shape == (224, 224, 3)
    assert create_transforms(normalize=False)(image).dtype == np.uint8
    assert create_transforms(100, 64)(image).shape == (3, 64, 64)


def test_transforms_show_what_they_do() -> None:
    assert repr(create_transforms()) == (
        "Compose([ResizeShort(size=256), CenterCrop(size=224), "
        "NormalizeToCHW(Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), "
        "scale=0.00392156862745098))])"
    )
    assert repr(create_transforms(normalize=False)).endswith(", ToCHW()])")
    assert repr(DecodeImage(5, 6)) == "DecodeImage(max_pixels=5, reduce_to=6)"
    assert repr(Compose([])) == "Compose([])"


def test_a_photograph_is_decoded_as_opencv_reads_it(photographs: Path) -> None:
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        file = photographs / name
        expected = cv2.imread(str(file))
        assert expected is not None
        np.testing.assert_array_equal(DecodeImage(10**8)(file.read_bytes()), expected[..., ::-1])


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int64])
def test_one_pass_gives_what_normalize_and_to_chw_give_to_the_last_bit(kind: type) -> None:
    image: npt.NDArray[Any] = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(kind)
    expected = ToCHW()(Normalize()(image))
    out = np.empty((3, 9, 7), np.float32)
    NormalizeToCHW(Normalize())(image, out)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(NormalizeToCHW(Normalize())(image[1:, 2:]), expected[:, 1:, 2:])


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


def gradient(width: int, height: int) -> npt.NDArray[np.uint8]:
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize(
    "interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "area", "box", "hamming"]
)
def test_every_interpolation_of_a_backend_resizes_to_the_size(interpolation: str, backend: str) -> None:
    if interpolation in (PIL_ONLY if backend == "cv2" else CV2_ONLY):
        with pytest.raises(SettingsError, match=f"resize_backend {backend} doesn't have"):
            Settings(interpolation=interpolation, resize_backend=backend)
        return
    settings = Settings(interpolation=interpolation, resize_backend=backend, resize_size=(40, 24))
    resized = create_transforms(normalize=False, to_chw=False, settings=settings)(gradient(100, 60))
    assert resized.shape == (24, 40, 3)
    assert np.all(np.diff(resized[12, 2:-2, 0].astype(int)) > 0)


def test_pillow_averages_where_opencv_picks() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = 255  # an eighth of all
    picked, averaged = (Resize(8, 8, "bilinear", backend)(stripes) for backend in ("cv2", "pil"))
    assert abs(int(averaged[4, 4, 0]) - 255 / 8) < 8
    assert not picked.any()


def test_without_pillow_its_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(SettingsError, match="resize_backend is pil, which needs Pillow: pip install pillow"):
        ResizeShort(256, backend="pil")


def test_pillow_refuses_what_are_no_pixels() -> None:
    with pytest.raises(ImageError, match=r"Pillow can't resize float32 of shape \[8, 8, 3\]"):
        ResizeShort(4, backend="pil")(np.zeros((8, 8, 3), np.float32))


def test_the_settings_say_how_an_image_is_normalized() -> None:
    settings = Settings(mean=(10, 20, 30), std=(1, 2, 4), scale=1.0)
    image = np.full((256, 256, 3), 50, np.uint8)
    np.testing.assert_array_equal(create_transforms(settings=settings)(image)[:, 0, 0], [40, 15, 5])
    assert repr(Resize(8, 9, "area")) == "Resize(width=8, height=9, interpolation='area', backend='cv2')"
