"""Resizing and cropping, with OpenCV or Pillow, by the names of PaddleClas' configuration."""

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError, SettingsError
from ..settings import MAX_IMAGE_PIXELS

Array = npt.NDArray[np.integer[Any] | np.floating[Any]]
ResizeFunction = Callable[[Array, int, int], Array]
"""A function (image [H, W, C], width, height) -> image [height, width, C]; sizes in pixels."""

_CV2: Final = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}


class ResizeShort:
    """Resizes the short side to `size` pixels, keeping the aspect ratio.

    Args:
        size: Length of the short side, in pixels.
        interpolation: As in Settings.interpolation.
        backend: As in Settings.resize_backend.

    Raises:
        SettingsError: The backend is Pillow, which isn't installed.
    """

    def __init__(self, size: int, interpolation: str = "bilinear", backend: str = "cv2") -> None:
        self.size = size
        self._how = _how(interpolation, backend)
        self._resize = make_resize(interpolation, backend)

    def __call__(self, image: Array) -> Array:
        """Resize [H, W, C] to [H', W', C] with min(H', W') = size.

        Raises:
            ImageError: The result would have more than MAX_IMAGE_PIXELS, since the image is very elongated.
        """
        height, width = image.shape[:2]
        scale = self.size / min(height, width)
        new_width, new_height = round(width * scale), round(height * scale)
        if new_width * new_height > MAX_IMAGE_PIXELS:
            raise ImageError(
                f"the image has {width} x {height} pixels, and would have {new_width} x {new_height} "
                f"with a resize_short of {self.size}: too many"
            )
        return self._resize(image, new_width, new_height)

    def __repr__(self) -> str:
        return f"ResizeShort(size={self.size}{self._how})"


class Resize:
    """Resizes to exactly `width` x `height` pixels, regardless of the aspect ratio.

    Args:
        width: In pixels.
        height: In pixels.
        interpolation: As in Settings.interpolation.
        backend: As in Settings.resize_backend.

    Raises:
        SettingsError: The backend is Pillow, which isn't installed.
    """

    def __init__(
        self, width: int, height: int, interpolation: str = "bilinear", backend: str = "cv2"
    ) -> None:
        self.width, self.height = width, height
        self._how = _how(interpolation, backend)
        self._resize = make_resize(interpolation, backend)

    def __call__(self, image: Array) -> Array:
        """Resize [H, W, C] to [height, width, C]."""
        return self._resize(image, self.width, self.height)

    def __repr__(self) -> str:
        return f"Resize(width={self.width}, height={self.height}{self._how})"


class CenterCrop:
    """Crops the central square of `size` x `size` pixels."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Array) -> Array:
        """Crop [H, W, C] to [size, size, C], a view of the image.

        Raises:
            ImageError: The image is smaller than the crop.
        """
        height, width = image.shape[:2]
        if min(height, width) < self.size:
            raise ImageError(f"the image has {width} x {height} pixels; crop_size is {self.size}")
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return image[top : top + self.size, left : left + self.size]

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


def make_resize(interpolation: str, backend: str) -> ResizeFunction:
    """Return a function that resizes an image.

    The function keeps the dtype of the image; with Pillow it raises ImageError if that isn't uint8.

    Args:
        interpolation: As in Settings.interpolation.
        backend: As in Settings.resize_backend.

    Raises:
        SettingsError: The backend is Pillow, which isn't installed.
    """
    if backend == "cv2":
        flag = _CV2[interpolation]
        return lambda image, width, height: cv2.resize(image, (width, height), interpolation=flag)
    try:
        from PIL import Image  # noqa: PLC0415  # most clients don't need Pillow
    except ImportError as exc:
        raise SettingsError("resize_backend is pil, which needs Pillow: pip install pillow") from exc
    resampling = Image.Resampling[interpolation.upper()]

    def resize(image: Array, width: int, height: int) -> Array:
        try:
            return np.asarray(Image.fromarray(image).resize((width, height), resampling))
        except (TypeError, ValueError) as exc:  # an earlier operation returned something other than pixels
            raise ImageError(f"Pillow can't resize {image.dtype} of shape {list(image.shape)}") from exc

    return resize


def _how(interpolation: str, backend: str) -> str:
    """Return the part of a `__repr__` about interpolation and backend; "" for the defaults."""
    is_default = (interpolation, backend) == ("bilinear", "cv2")
    return "" if is_default else f", interpolation={interpolation!r}, backend={backend!r}"
