"""What the operations of an inference.yml make of an image, computed here in OpenCV, Pillow and numpy."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clas.errors import ImageError, SettingsError
from clas.image.factory import make_operations
from clas.image.operations import read_operations
from clas.image.transforms import create_transforms, normalization, reduced_size
from clas.settings import Settings

Array = npt.NDArray[Any]

IMAGE: npt.NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
RESIZE = {"ResizeImage": {"resize_short": 40}}
RESIZED = cv2.resize(IMAGE, (60, 40), interpolation=cv2.INTER_LINEAR)
NORMALIZE: dict[str, Any] = {"NormalizeImage": {"scale": "1.0/255.0", "order": ""}}
UNCHANGED = {"NormalizeImage": {"scale": 1, "mean": 0, "std": 1}}


def settings_of(*entries: object) -> Settings:
    return Settings(transform_ops=read_operations(list(entries)).listed)


def result(*entries: object, image: Array = IMAGE) -> Array:
    return create_transforms(settings=settings_of(*entries))(image)


def chw(image: Array) -> Array:
    return image.transpose(2, 0, 1).astype(np.float32)


def by_pillow(image: Array, size: tuple[int, int], filter_: Image.Resampling) -> Array:
    return np.asarray(Image.fromarray(image).resize(size, filter_))


def normalized(image: Array) -> Array:
    return chw((image.astype(np.float32) / 255 - MEAN) / STD)


@pytest.mark.parametrize(
    ("options", "resize"),
    [
        ({"resize_short": 40}, lambda image: cv2.resize(image, (60, 40))),
        ({"size": [32, 48]}, lambda image: cv2.resize(image, (32, 48))),
        (
            {"size": 40, "interpolation": "LANCZOS4"},
            lambda image: cv2.resize(image, (40, 40), interpolation=cv2.INTER_LANCZOS4),
        ),
        (
            {"resize_short": 40, "interpolation": "BICUBIC", "backend": "PIL", "return_numpy": False},
            lambda image: by_pillow(image, (60, 40), Image.Resampling.BICUBIC),
        ),
        (
            {"size": [32, 48], "interpolation": "lanczos", "backend": "pil"},
            lambda image: by_pillow(image, (32, 48), Image.Resampling.LANCZOS),
        ),
        # 90 x 60 into 64 x 32: by 32 / 60, since by 64 / 90 the short side would have 43
        ({"size": [64, 32], "keep_ratio": True}, lambda image: cv2.resize(image, (48, 32))),
        # ... and upright, the sizes change places
        ({"size": [32, 64], "keep_ratio": True}, lambda image: cv2.resize(image, (48, 32))),
        ({"resize_short": 40, "size_divisor": 32}, lambda image: cv2.resize(image, (64, 64))),
    ],
)
def test_an_image_is_resized_as_the_options_say(
    options: dict[str, Any], resize: Callable[[Array], Array]
) -> None:
    np.testing.assert_array_equal(result({"ResizeImage": options}, UNCHANGED), chw(resize(IMAGE)))


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [(20, slice(10, 30), slice(20, 40)), ([50, 24], slice(8, 32), slice(5, 55))],
)
def test_the_middle_is_cropped(size: object, rows: slice, columns: slice) -> None:
    found = result(RESIZE, {"CropImage": {"size": size}}, UNCHANGED)
    np.testing.assert_array_equal(found, chw(RESIZED[rows, columns]))


def test_a_crop_may_come_after_a_resize_to_a_size_and_before_it() -> None:
    exactly = cv2.resize(IMAGE, (40, 40))
    found = result({"ResizeImage": {"size": 40}}, {"CropImage": {"size": 32}}, UNCHANGED)
    np.testing.assert_array_equal(found, chw(exactly[4:36, 4:36]))
    found = result({"CropImage": {"size": 40}}, {"ResizeImage": {"size": 32}}, UNCHANGED)
    np.testing.assert_array_equal(found, chw(cv2.resize(IMAGE[10:50, 25:65], (32, 32))))


def test_a_crop_at_a_ratio_is_of_the_short_side() -> None:
    # 60 * 48 / (48 + 16) = 45 pixels, from row (60 - 45) // 2 and column (90 - 45) // 2
    wanted = cv2.resize(IMAGE[7:52, 22:67], (48, 48), interpolation=cv2.INTER_LINEAR)
    found = result({"CropImageAtRatio": {"size": 48, "pad": 16, "interpolation": "bilinear"}}, UNCHANGED)
    np.testing.assert_array_equal(found, chw(wanted))


def test_without_a_crop_the_result_has_the_proportions_of_the_image() -> None:
    np.testing.assert_allclose(result(RESIZE, NORMALIZE), normalized(RESIZED), atol=1e-6)
    assert result(RESIZE, NORMALIZE, image=IMAGE[:, :30]).shape == (3, 80, 40)


@pytest.mark.parametrize("is_after", [False, True])
def test_padding_is_at_the_right_and_the_bottom(is_after: bool) -> None:
    pad = {"Pad": {"target_size": [64, 48], "val": [10, 20, 30]}}
    found = result(RESIZE, NORMALIZE, pad) if is_after else result(RESIZE, pad, NORMALIZE)
    wanted = np.empty((48, 64, 3), np.float32)
    wanted[:] = [10, 20, 30]
    if is_after:
        wanted[:40, :60] = normalized(RESIZED).transpose(1, 2, 0)
        np.testing.assert_allclose(found, chw(wanted), atol=1e-6)
    else:
        wanted[:40, :60] = RESIZED
        np.testing.assert_allclose(found, normalized(wanted), atol=1e-6)


def test_the_default_padding_is_grey() -> None:
    found = result(RESIZE, {"Pad": {"target_size": 64}}, UNCHANGED)
    assert (found[:, 40:] == 128).all()  # 127.5, rounded


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_model_of_bgr_gets_it_with_mean_and_std_in_that_order(dtype: type) -> None:
    mean, std = np.array([[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]], np.float32)
    options = {"mean": mean.tolist(), "std": std.tolist(), "scale": 1 / 255}
    found = result(
        {"DecodeImage": {"to_rgb": False}},
        RESIZE,
        {"Pad": {"target_size": [60, 44], "val": [10, 20, 30]}},
        {"NormalizeImage": options},
        image=IMAGE.astype(dtype),
    )
    bgr = cv2.copyMakeBorder(RESIZED[..., ::-1], 0, 4, 0, 0, cv2.BORDER_CONSTANT, value=(10, 20, 30))
    wanted = (bgr.astype(np.float32) / 255 - mean) / std
    np.testing.assert_allclose(found, chw(wanted), atol=1e-2 if dtype is np.float32 else 1e-6)


def test_four_channels_are_three_and_a_plane_of_zeros() -> None:
    found = result(RESIZE, {"NormalizeImage": {"channel_num": 4, "order": ""}})
    assert found.shape == (4, 40, 60)
    np.testing.assert_allclose(found[:3], normalized(RESIZED), atol=1e-6)
    assert not found[3].any()


def test_one_channel_is_grey_by_the_luma() -> None:
    luma = np.round(IMAGE @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    grey = cv2.resize(luma, (60, 40))
    options = {"channel_num": 1, "mean": 0.5, "std": 0.25}
    found = result(RESIZE, {"CropImage": {"size": 32}}, {"NormalizeImage": options})
    wanted = (grey[4:36, 14:46].astype(np.float32) / 255 - 0.5) / 0.25
    assert found.shape == (1, 32, 32)
    np.testing.assert_allclose(found[0], wanted, atol=1 / 255 / 0.25 + 1e-6)  # OpenCV's luma is in integers
    for backend in ("cv2", "pil"):
        resized = result({"ResizeImage": {"size": 8, "backend": backend}}, {"NormalizeImage": options})
        assert resized.shape == (1, 8, 8)
    padded = result(RESIZE, {"Pad": {"target_size": 64, "val": 0}}, {"NormalizeImage": options})
    assert padded.shape == (1, 64, 64)
    assert (padded[0, 40:] == -2).all()


def test_half_precision_rounds_the_numbers() -> None:
    found = result(RESIZE, {"NormalizeImage": {"output_fp16": True}})
    np.testing.assert_array_equal(found, normalized(RESIZED).astype(np.float16).astype(np.float32))
    assert found.dtype == np.float32


def test_what_is_left_after_the_pixels_can_be_done_later() -> None:
    settings = settings_of({"DecodeImage": {"to_rgb": False}}, RESIZE, {"NormalizeImage": {"channel_num": 4}})
    pixels = create_transforms(normalize=False, to_chw=False, settings=settings)(IMAGE)
    np.testing.assert_array_equal(pixels, RESIZED)
    later = normalization(settings)(pixels)
    np.testing.assert_array_equal(chw(later), create_transforms(settings=settings)(IMAGE))


def test_a_normalization_that_is_not_the_last_can_not_be_left_out() -> None:
    settings = settings_of(RESIZE, NORMALIZE, {"CropImage": {"size": 32}})
    assert make_operations(settings.transform_ops).after_names == ("CropImage",)
    with pytest.raises(SettingsError, match="transform_ops has CropImage after the normalization, which"):
        create_transforms(normalize=False, settings=settings)
    found = create_transforms(settings=settings)(IMAGE)
    np.testing.assert_allclose(found, normalized(RESIZED[4:36, 14:46]), atol=1e-6)
    last = create_transforms(to_chw=False, settings=settings)(IMAGE)
    np.testing.assert_array_equal(chw(last), found)


def test_an_image_that_an_operation_can_not_take_fails_alone() -> None:
    with pytest.raises(ImageError, match="has 60 x 40 pixels, and is to be padded to 50 x 50"):
        result(RESIZE, {"Pad": {"target_size": 50}})
    with pytest.raises(ImageError, match="has 60 x 40 pixels; crop_size is 64 x 32"):
        result(RESIZE, {"CropImage": {"size": [64, 32]}})
    with pytest.raises(ImageError, match="has 90 x 1 pixels: too small"):
        result({"CropImageAtRatio": {"size": 8, "pad": 8}}, image=IMAGE[:1])


def test_a_jpeg_may_be_reduced_to_what_the_first_operation_takes() -> None:
    crop = {"CropImage": {"size": 24}}
    assert reduced_size(256, settings_of(RESIZE)) == 40
    assert reduced_size(256, settings_of({"ResizeImage": {"size": [32, 48]}}, crop)) == 48
    assert reduced_size(256, settings_of({"CropImageAtRatio": {"size": 48, "pad": 16}})) == 64
    assert reduced_size(256, settings_of(crop, RESIZE)) > 10**6
    assert reduced_size(256, Settings()) == 256


def test_operations_show_what_they_do() -> None:
    settings = settings_of(
        {"DecodeImage": {"to_rgb": False}},
        {"ResizeImage": {"size": [40, 24], "keep_ratio": True, "size_divisor": 8}},
        {"Pad": {"target_size": 48, "val": 0}},
        {"CropImage": {"size": [40, 24]}},
        {"NormalizeImage": {"scale": 1, "mean": 0, "std": 1, "channel_num": 4, "output_fp16": True}},
        {"CropImageAtRatio": {"size": 16, "pad": 4}},
    )
    assert repr(create_transforms(settings=settings)) == (
        "Compose([Resize(width=40, height=24, keep_ratio=True, size_divisor=8), "
        "Pad(width=48, height=48, value=(0, 0, 0)), CenterCrop(size=(40, 24)), "
        "Normalize(mean=(0, 0, 0), std=(1, 1, 1), scale=1, "
        "reverse=True, add_zeros=True, round_to_half=True), "
        "CropAtRatio(size=16, pad=4, interpolation='bilinear', backend='cv2'), ToCHW()])"
    )
