import sys

import numpy as np
import numpy.typing as npt
import pytest

from clas.errors import ImageError, SettingsError
from clas.image.crop import CenterCrop
from clas.image.resize import Resize, ResizeShort
from clas.image.transforms import create_transforms
from clas.settings import CV2_ONLY, PIL_ONLY, Settings


def gradient(width: int, height: int) -> npt.NDArray[np.uint8]:
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


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


def test_a_resize_shows_its_size_and_what_is_not_the_default() -> None:
    assert repr(Resize(8, 9, "area")) == "Resize(width=8, height=9, interpolation='area', backend='cv2')"
    assert repr(ResizeShort(256)) == "ResizeShort(size=256)"
