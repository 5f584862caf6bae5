"""Resizing as OpenCV and as Pillow do it, by the names that PaddleClas' configuration has for it."""

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError, SettingsError

Array = npt.NDArray[np.integer[Any] | np.floating[Any]]
Resize = Callable[[Array, int, int], Array]
"""(image [H, W, C], width, height) -> [height, width, C]."""

_CV2: Final = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}


def make_resize(interpolation: str, backend: str) -> Resize:
    """Make a function that resizes.

    Args:
        interpolation: As Settings.interpolation.
        backend: As Settings.resize_backend.

    Raises:
        SettingsError: The backend is Pillow, which isn't installed.
    """
    if backend == "cv2":
        flag = _CV2[interpolation]
        return lambda image, width, height: cv2.resize(image, (width, height), interpolation=flag)
    try:
        from PIL import Image  # noqa: PLC0415  # most clients have no Pillow, and need none
    except ImportError as exc:
        raise SettingsError("resize_backend is pil, which needs Pillow: pip install pillow") from exc
    resampling = Image.Resampling[interpolation.upper()]

    def resize(image: Array, width: int, height: int) -> Array:
        try:
            return np.asarray(Image.fromarray(image).resize((width, height), resampling))
        except (TypeError, ValueError) as exc:  # not pixels: an operation before this one made other numbers
            raise ImageError(f"Pillow can't resize {image.dtype} of shape {list(image.shape)}") from exc

    return resize
