"""Resizing, with OpenCV or Pillow, by the names of PaddleClas' configuration."""

from collections.abc import Callable
from functools import partial
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
        size_divisor: Both sides are raised to multiples of this, in pixels.

    Raises:
        SettingsError: The backend is Pillow, which isn't installed.
    """

    def __init__(
        self, size: int, interpolation: str = "bilinear", backend: str = "cv2", *, size_divisor: int = 1
    ) -> None:
        self.size = size
        self._size_divisor = size_divisor
        self._how = _how(interpolation, backend) + _named(size_divisor=size_divisor)
        self._resize = make_resize(interpolation, backend)

    def __call__(self, image: Array) -> Array:
        """Resize [H, W, C] to [H', W', C] with min(H', W') = size, but for size_divisor.

        Raises:
            ImageError: The result would have more than MAX_IMAGE_PIXELS, since the image is very elongated.
        """
        height, width = image.shape[:2]
        scale = self.size / min(height, width)
        new_width, new_height = _multiples((width * scale, height * scale), self._size_divisor)
        if new_width * new_height > MAX_IMAGE_PIXELS:
            raise ImageError(
                f"the image has {width} x {height} pixels, and would have {new_width} x {new_height} "
                f"with a resize_short of {self.size}: too many"
            )
        return self._resize(image, new_width, new_height)

    def __repr__(self) -> str:
        return f"ResizeShort(size={self.size}{self._how})"


class Resize:
    """Resizes to `width` x `height` pixels; exactly, regardless of the aspect ratio, unless that is kept.

    Args:
        width: In pixels.
        height: In pixels.
        interpolation: As in Settings.interpolation.
        backend: As in Settings.resize_backend.
        keep_ratio: Keep the aspect ratio: the longer side of the image gets at most the longer of the two
            sizes, the shorter one at most the shorter, and one of them exactly.
        size_divisor: Both sides are raised to multiples of this, in pixels.

    Raises:
        SettingsError: The backend is Pillow, which isn't installed.
    """

    def __init__(
        self,
        width: int,
        height: int,
        interpolation: str = "bilinear",
        backend: str = "cv2",
        *,
        keep_ratio: bool = False,
        size_divisor: int = 1,
    ) -> None:
        self.width, self.height = width, height
        self._keep_ratio, self._size_divisor = keep_ratio, size_divisor
        self._how = _how(interpolation, backend) + _named(keep_ratio=keep_ratio, size_divisor=size_divisor)
        self._resize = make_resize(interpolation, backend)

    def __call__(self, image: Array) -> Array:
        """Resize [H, W, C] to [height, width, C], or to what the aspect ratio makes of it."""
        width: float = self.width
        height: float = self.height
        if self._keep_ratio:
            sides = image.shape[1], image.shape[0]
            wanted = self.width, self.height
            scale = min(max(wanted) / max(sides), min(wanted) / min(sides))
            width, height = sides[0] * scale, sides[1] * scale
        return self._resize(image, *_multiples((width, height), self._size_divisor))

    def __repr__(self) -> str:
        return f"Resize(width={self.width}, height={self.height}{self._how})"


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
        return _with_axis(partial(_resize_by_cv2, flag=_CV2[interpolation]))
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

    return _with_axis(resize)


def _resize_by_cv2(image: Array, width: int, height: int, flag: int) -> Array:
    return cv2.resize(image, (width, height), interpolation=flag)


def _with_axis(resize: ResizeFunction) -> ResizeFunction:
    """Keep the last axis of an image of one channel, which neither library does."""

    def resize_any(image: Array, width: int, height: int) -> Array:
        if image.shape[2:] == (1,):
            return resize(image[..., 0], width, height)[..., np.newaxis]
        return resize(image, width, height)

    return resize_any


def _multiples(sides: tuple[float, float], divisor: int) -> tuple[int, int]:
    """Round both sides, at least to 1, and then up to multiples of the divisor."""
    width, height = (max(1, round(side)) for side in sides)
    return -(-width // divisor) * divisor, -(-height // divisor) * divisor


def _how(interpolation: str, backend: str) -> str:
    """Return the part of a `__repr__` about interpolation and backend; "" for the defaults."""
    is_default = (interpolation, backend) == ("bilinear", "cv2")
    return "" if is_default else f", interpolation={interpolation!r}, backend={backend!r}"


def _named(*, keep_ratio: bool = False, size_divisor: int = 1) -> str:
    """Return the part of a `__repr__` about these two; "" for the defaults."""
    ratio = ", keep_ratio=True" if keep_ratio else ""
    return ratio + (f", size_divisor={size_divisor}" if size_divisor != 1 else "")
