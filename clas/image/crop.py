"""Crops and padding."""

from collections.abc import Sequence

import cv2

from ..errors import ImageError
from .resize import Array, make_resize


class CenterCrop:
    """Crops the middle of an image.

    Args:
        size: Width and height in pixels; one number means both.
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = size
        self.width, self.height = (size, size) if isinstance(size, int) else size

    def __call__(self, image: Array) -> Array:
        """Crop [H, W, C] to [height, width, C], a view of the image.

        Raises:
            ImageError: The image is smaller than the crop.
        """
        height, width = image.shape[:2]
        if height < self.height or width < self.width:
            raise ImageError(f"the image has {width} x {height} pixels; crop_size is {self._shown(' x ')}")
        top, left = (height - self.height) // 2, (width - self.width) // 2
        return image[top : top + self.height, left : left + self.width]

    def __repr__(self) -> str:
        shown = self._shown(", ")
        return f"CenterCrop(size={shown})" if shown.isdecimal() else f"CenterCrop(size=({shown}))"

    def _shown(self, separator: str) -> str:
        is_square = self.width == self.height
        return str(self.width) if is_square else f"{self.width}{separator}{self.height}"


class CropAtRatio:
    """Crops a square from the middle, of size / (size + pad) of the short side, and resizes it.

    Args:
        size: Side of the result, in pixels.
        pad: What the short side would have more than the crop, if the crop had `size` pixels.
        interpolation: As in Settings.interpolation.
        backend: As in Settings.resize_backend.

    Raises:
        SettingsError: The backend is Pillow, which isn't installed.
    """

    def __init__(self, size: int, pad: int, interpolation: str = "bilinear", backend: str = "cv2") -> None:
        self.size, self.pad = size, pad
        self._resize = make_resize(interpolation, backend)
        self._how = f"interpolation={interpolation!r}, backend={backend!r}"

    def __call__(self, image: Array) -> Array:
        """Crop and resize [H, W, C] to [size, size, C].

        Raises:
            ImageError: The image is so small that nothing is left of it.
        """
        height, width = image.shape[:2]
        side = int(min(height, width) * (self.size / (self.size + self.pad)))
        if side == 0:
            raise ImageError(f"the image has {width} x {height} pixels: too small")
        return self._resize(CenterCrop(side)(image), self.size, self.size)

    def __repr__(self) -> str:
        return f"CropAtRatio(size={self.size}, pad={self.pad}, {self._how})"


class Pad:
    """Pads an image to a size, at its right and its bottom.

    Args:
        width: In pixels.
        height: In pixels.
        value: What is filled in, for each channel.
    """

    def __init__(self, width: int, height: int, value: Sequence[float]) -> None:
        self.width, self.height, self.value = width, height, tuple(value)

    def __call__(self, image: Array) -> Array:
        """Pad [H, W, C] to [height, width, C]; in an image of uint8 the value is rounded.

        Raises:
            ImageError: The image is larger.
        """
        height, width = image.shape[:2]
        bottom, right = self.height - height, self.width - width
        if bottom < 0 or right < 0:
            wanted = f"{self.width} x {self.height}"
            raise ImageError(f"the image has {width} x {height} pixels, and is to be padded to {wanted}")
        padded = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=self.value)
        return padded.reshape(
            self.height, self.width, image.shape[2]
        )  # of one channel, OpenCV drops the axis

    def __repr__(self) -> str:
        return f"Pad(width={self.width}, height={self.height}, value={self.value})"
