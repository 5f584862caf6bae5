import re
from typing import Any

import pytest

from clas.errors import SettingsError
from clas.image.operations import described, output_size, read_operations

RESIZE = {"ResizeImage": {"resize_short": 48}}
NORMALIZE = {"NormalizeImage": {"scale": "1.0/255.0", "mean": 0.5, "std": [0.1, 0.2, 0.3], "order": "hwc"}}
TO_CHW = {"ToCHWImage": None}


def names(*entries: object) -> list[str]:
    return [op.name for op in read_operations(list(entries)).listed]


def options_of(entry: object) -> dict[str, Any]:
    [op] = read_operations([entry]).listed
    return dict(op.options)


@pytest.mark.parametrize(
    ("interpolation", "backend", "found"),
    [
        ("LINEAR", "cv2", "bilinear"),
        ("Bilinear", "CV2", "bilinear"),
        ("BICUBIC", "PIL", "bicubic"),
        ("CUBIC", "cv2", "bicubic"),
        ("LANCZOS4", "cv2", "lanczos"),
        ("LANCZOS", "pil", "lanczos"),
        ("AREA", "cv2", "area"),
        ("NEAREST", "cv2", "nearest"),
        ("Box", "Pil", "box"),
        (2, "cv2", "bicubic"),
        (None, "pil", "bilinear"),
        (None, None, "bilinear"),
    ],
)
def test_an_interpolation_is_known_by_all_its_names(
    interpolation: object, backend: str | None, found: str
) -> None:
    how = {"interpolation": interpolation, "backend": backend}
    options = options_of({"ResizeImage": {"size": 8, **how}})
    assert (options["interpolation"], options["backend"]) == (found, (backend or "cv2").lower())


def test_paddlexs_names_stand_for_paddleclas_ones() -> None:
    paddlex = [
        {"Resize": {"target_size": [40, 32], "interp": "LINEAR"}},
        {"Crop": {"crop_size": 24}},
        {"Normalize": {"mean": 0.5, "std": 0.5}},
        {"Transpose": {"order": [2, 0, 1]}},
    ]
    paddleclas = [
        {"ResizeImage": {"size": [40, 32], "interpolation": "bilinear"}},
        {"CropImage": {"size": [24, 24]}},
        {"NormalizeImage": {"mean": [0.5] * 3, "std": [0.5] * 3}},
        TO_CHW,
    ]
    assert read_operations(paddlex) == read_operations(paddleclas)
    assert read_operations([{"ResizeByShort": {"target_short_edge": 48}}]) == read_operations([RESIZE])
    assert options_of({"Normalize": None})["mean"] == (0.5, 0.5, 0.5)


def test_resize_short_beats_size_as_in_paddleclas() -> None:
    assert "size" not in options_of({"ResizeImage": {"resize_short": 48, "size": 32}})
    assert options_of({"ResizeImage": {"resize_short": -1, "size": 32}})["size"] == (32, 32)


def test_what_says_nothing_about_the_numbers_is_taken() -> None:
    assert names(
        {"DecodeImage": {"to_rgb": True, "to_np": False, "channel_first": False, "backend": "PIL"}},
        {"ResizeImage": {"size": 8, "return_numpy": False}},
        {"NormalizeImage": {"order": "chw", "output_fp16": False, "channel_num": None}},
        "ToCHWImage",
        {"KeepKeys": {"keep_keys": ["image"]}},
    ) == ["ResizeImage", "NormalizeImage"]


def test_the_order_of_the_channels_is_kept_with_the_decoding() -> None:
    assert options_of({"DecodeImage": {"to_rgb": False}}) == {"img_mode": "BGR"}
    assert options_of({"DecodeImage": {"img_mode": "gray"}}) == {"img_mode": "GRAY"}
    assert names({"DecodeImage": {"img_mode": "RGB"}}, RESIZE) == ["ResizeImage"]


def test_one_channel_means_that_the_image_becomes_grey_first() -> None:
    entries = [RESIZE, {"NormalizeImage": {"channel_num": 1, "mean": 0.5, "std": [0.2]}}]
    assert names(*entries) == ["DecodeImage", "ResizeImage", "NormalizeImage"]
    assert names({"DecodeImage": {"img_mode": "GRAY"}}, *entries) == names(*entries)


def test_operations_are_told_in_the_form_that_is_read() -> None:
    entries = [
        {"DecodeImage": {"to_rgb": False}},
        {"ResizeImage": {"size": [40, 32], "keep_ratio": True, "size_divisor": 8, "backend": "pil"}},
        {"Pad": {"target_size": [48, 48], "val": [1, 2, 3]}},
        {"CropImage": {"size": [40, 24]}},
        {"CropImageAtRatio": {"size": 16, "pad": 4}},
        {"NormalizeImage": {"channel_num": 4, "output_fp16": True}},
        TO_CHW,
    ]
    listed = read_operations(entries).listed
    assert read_operations(described(listed)).listed == listed
    assert described(listed)[3] == {"CropImage": {"size": [40, 24]}}


@pytest.mark.parametrize(
    ("entries", "size"),
    [
        ([RESIZE], (None, None)),
        ([RESIZE, {"CropImage": {"size": 32}}], (32, 32)),
        ([{"ResizeImage": {"size": [40, 24]}}, NORMALIZE, TO_CHW], (40, 24)),
        ([{"ResizeImage": {"size": [40, 24]}}, {"CropImage": {"size": [30, 20]}}], (30, 20)),
        ([{"ResizeImage": {"size": [40, 24], "keep_ratio": True}}], (None, None)),
        ([{"ResizeImage": {"size": 40, "keep_ratio": True}}, {"Pad": {"target_size": 40}}], (40, 40)),
        ([{"CropImageAtRatio": {"size": 24, "pad": 8}}], (24, 24)),
        ([NORMALIZE], (None, None)),
    ],
)
def test_the_size_of_the_result_is_known_where_it_does_not_depend_on_the_image(
    entries: list[object], size: tuple[int | None, int | None]
) -> None:
    assert output_size(read_operations(entries).listed) == size


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (5, "transform_ops is 5; it takes a list of operations"),
        ([{"RandCropImage": {"size": 8}}], "an operation 'RandCropImage', which is not supported"),
        ([RESIZE, {"DecodeImage": None}], "DecodeImage after another operation; it comes first"),
        ([{"KeepKeys": None}, RESIZE], "KeepKeys before another operation; it comes last"),
        ([NORMALIZE, NORMALIZE], "transform_ops has NormalizeImage twice"),
        ([TO_CHW, {"Transpose": None}], "transform_ops has ToCHWImage twice"),
        ([TO_CHW, RESIZE], "ResizeImage after the channels were moved to the front"),
        ([{"DecodeImage": {"channel_first": True}}, RESIZE], "ResizeImage after the channels were moved"),
        (
            [NORMALIZE, {"ResizeImage": {"size": 8, "backend": "pil"}}],
            "backend pil after NormalizeImage; it takes cv2 there",
        ),
        (
            [{"ResizeImage": {"size": 8}}, {"CropImage": {"size": [9, 8]}}],
            "CropImage.size is [9, 8], but the images before it have [8, 8]",
        ),
        (
            [RESIZE, {"CropImage": {"size": [64, 50]}}],
            "ResizeImage.resize_short is 48 and CropImage.size [64, 50]: no image is large enough",
        ),
        ([{"ResizeImage": {"size": 8.5}}], "ResizeImage.size is 8.5; it takes a number, or width and height"),
        ([{"ResizeImage": {"size": [8, 8, 8]}}], "ResizeImage.size is [8, 8, 8]; it takes a number, or"),
        (
            [{"ResizeImage": {"resize_short": "8"}}],
            "ResizeImage.resize_short is '8'; it takes a whole number",
        ),
        (
            [{"ResizeImage": {"size": 8, "interpolation": "random"}}],
            "ResizeImage.interpolation is 'random'; it takes nearest or bilinear or bicubic or area",
        ),
        (
            [{"ResizeImage": {"size": 8, "interpolation": "area", "backend": "pil"}}],
            "ResizeImage.interpolation is 'area'; it takes nearest or",
        ),
        ([{"ResizeImage": {"size": 8, "backend": "torch"}}], "backend is 'torch'; it takes cv2 or pil"),
        ([{"ResizeImage": {"size": 8, "keep_ratio": 1}}], "keep_ratio is 1; it takes true or false"),
        ([{"CropImageAtRatio": {"size": 8}}], "CropImageAtRatio takes size and pad"),
        ([{"Pad": {"size": 8}}], "Pad.target_size is missing"),
        (
            [{"Pad": {"target_size": 8, "pad_mode": 1}}],
            "Pad has an option 'pad_mode', which is not",
        ),
        (
            [{"NormalizeImage": {"channel_num": 2}}],
            "channel_num is 2; it takes 3, 4 (the fourth is zeros) or 1",
        ),
        (
            [{"NormalizeImage": {"mean": [0, 0]}}],
            "NormalizeImage.mean is [0, 0]; it takes 3 numbers, or one,",
        ),
        ([{"NormalizeImage": {"scale": "x/0"}}], "NormalizeImage.scale is 'x/0'; it takes a number"),
        ([{"NormalizeImage": {"order": "cwh"}}], "NormalizeImage.order is 'cwh'; it takes chw or hwc"),
        ([{"NormalizeImage": {"channel_num": 1}}], "which takes a mean and a std of one number"),
        (
            [{"NormalizeImage": {"channel_num": 1, "mean": [1, 2, 3], "std": 1}}],
            "NormalizeImage.mean is [1, 2, 3]; it takes a number from",
        ),
        (
            [{"DecodeImage": {"img_mode": "GRAY"}}, NORMALIZE],
            "DecodeImage.img_mode is GRAY, but NormalizeImage.channel_num is 3",
        ),
        ([{"Transpose": {"order": [0, 1, 2]}}], "Transpose.order is [0, 1, 2]; it takes [2, 0, 1]"),
        ([{"KeepKeys": {"keep_keys": ["x"]}}], "KeepKeys.keep_keys is ['x']; it takes image"),
    ],
)
def test_what_is_invalid_or_not_supported_is_refused_by_name(entries: object, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        read_operations(entries)
