"""PreProcess as PaddleClas and PaddleX write it, and as deployment configurations have it."""

from typing import Any

import pytest
import yaml

from clas.image.operations import described, output_size
from clas.model.transform_ops import InvalidEntryError, read_preprocess

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
NORMALIZE = """
- NormalizeImage:
    scale: 0.00392156862745098
    mean: [0.485, 0.456, 0.406]
    std: [0.229, 0.224, 0.225]
    order: ''
    channel_num: 3
- ToCHWImage: null
"""
DEPLOYMENT = """
- NormalizeImage:
    scale: 0.00392157
    mean: [0.485, 0.456, 0.406]
    std: [0.229, 0.224, 0.225]
    order: ''
    channel_num: 3
- ToCHWImage:
"""
SWIN = """
- ResizeImage: {resize_short: 438, interpolation: bicubic, backend: pil}
- CropImage: {size: 384}
"""
BY_CV2 = {"interpolation": "bilinear", "resize_backend": "cv2"}


def values_of(text: str) -> dict[str, Any]:
    return read_preprocess({"transform_ops": yaml.safe_load(text)}).values


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("- ResizeImage: {size: [160, 80]}", {"resize_size": (160, 80), **BY_CV2}),  # textline_ori
        ("- ResizeImage: {size: [192, 256]}", {"resize_size": (192, 256), **BY_CV2}),  # pedestrian_attribute
        (
            "- ResizeImage: {size: 448, interpolation: bilinear, backend: pil}",  # CLIP_vit, 448
            {"resize_size": (448, 448), "interpolation": "bilinear", "resize_backend": "pil"},
        ),
        (
            SWIN,
            {
                "resize_size": (),
                "resize_short": 438,
                "crop_size": 384,
                "interpolation": "bicubic",
                "resize_backend": "pil",
            },
        ),
        (
            "- ResizeImage: {resize_short: 224}\n- CropImage: {size: 224}",  # StarNet
            {"resize_size": (), "resize_short": 224, "crop_size": 224, **BY_CV2},
        ),
        (
            "- ResizeImage: {size: 224, interpolation: bicubic}",  # PP-ShiTuV2_rec_CLIP_vit_base
            {"resize_size": (224, 224), "interpolation": "bicubic", "resize_backend": "cv2"},
        ),
        (
            "- ResizeImage: {size: [224, 224], return_numpy: false, interpolation: bilinear, backend: cv2}",
            {"resize_size": (224, 224), **BY_CV2},  # PP-ShiTuV2_rec
        ),
    ],
)
def test_what_the_exporters_write_are_settings(text: str, sizes: dict[str, object]) -> None:
    assert values_of(text + NORMALIZE) == {**sizes, **IMAGENET, "scale": 0.00392156862745098}


def test_the_order_hwc_is_that_of_an_image() -> None:
    text = "- ResizeImage: {size: 224}" + NORMALIZE
    assert values_of(text.replace("order: ''", "order: hwc")) == values_of(text)


def test_a_deployment_configuration_without_a_crop_makes_images_of_any_size() -> None:
    """PaddleClas' inference_cls_based_action.yaml."""
    operations = values_of("- ResizeImage: {resize_short: 224}" + DEPLOYMENT)["transform_ops"]
    assert [op.name for op in operations] == ["ResizeImage", "NormalizeImage"]
    assert output_size(operations) == (None, None)


def test_a_deployment_configuration_with_four_channels_is_read() -> None:
    """PaddleClas' inference_cls_ch4.yaml."""
    text = "- ResizeImage: {resize_short: 256}\n- CropImage: {size: 224}" + DEPLOYMENT
    operations = values_of(text.replace("channel_num: 3", "channel_num: 4"))["transform_ops"]
    assert described(operations)[2]["NormalizeImage"]["channel_num"] == 4
    assert output_size(operations) == (224, 224)


def test_a_crop_at_a_ratio_without_axes_is_read_and_noted() -> None:
    """What PaddleClas' exporter writes for EfficientNetV2_S."""
    text = """
- CropImageAtRatio: {size: 384, pad: 32, interpolation: bilinear}
- NormalizeImage:
    {scale: 1.0, mean: [128.0, 128.0, 128.0], std: [128.0, 128.0, 128.0], order: '', channel_num: 3}
"""
    values, notes = read_preprocess({"transform_ops": yaml.safe_load(text)})
    listed: Any = values["transform_ops"]
    assert described(listed) == [
        {"CropImageAtRatio": {"size": 384, "pad": 32, "interpolation": "bilinear", "backend": "cv2"}},
        {"NormalizeImage": {"mean": [128] * 3, "std": [128] * 3, "scale": 1, "channel_num": 3}},
    ]
    assert len(notes) == 1


def test_without_transform_ops_nothing_is_said() -> None:
    assert read_preprocess({}) == ({}, ())


def test_an_invalid_operation_is_one_of_the_files_errors() -> None:
    with pytest.raises(InvalidEntryError, match="an operation 'RandFlipImage', which is not supported"):
        values_of("- RandFlipImage: {flip_code: 1}")
