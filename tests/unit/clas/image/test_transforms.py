from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clas.image.normalize import Normalize, NormalizeToCHW, ToCHW
from clas.image.transforms import Compose, create_transforms
from clas.settings import Settings


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
    assert repr(Compose([])) == "Compose([])"


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int64])
def test_one_pass_gives_what_normalize_and_to_chw_give_to_the_last_bit(kind: type) -> None:
    image: npt.NDArray[Any] = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(kind)
    expected = ToCHW()(Normalize()(image))
    out = np.empty((3, 9, 7), np.float32)
    NormalizeToCHW(Normalize())(image, out)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(NormalizeToCHW(Normalize())(image[1:, 2:]), expected[:, 1:, 2:])


def test_the_settings_say_how_an_image_is_normalized() -> None:
    settings = Settings(mean=(10, 20, 30), std=(1, 2, 4), scale=1.0)
    image = np.full((256, 256, 3), 50, np.uint8)
    np.testing.assert_array_equal(create_transforms(settings=settings)(image)[:, 0, 0], [40, 15, 5])
