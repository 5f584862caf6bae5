"""Normalization, and the order and number of the channels."""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from ..settings import IMAGENET_MEAN, IMAGENET_STD
from .resize import Array

_LEVELS: Final = 256


class Normalize:
    """Computes (image * scale - mean) / std for each channel, in float32.

    Args:
        mean: One value per channel, of pixels already scaled; by default ImageNet's for RGB in [0, 1].
        std: One value per channel, like `mean`.
        scale: Factor for the pixels; by default from [0, 255] to [0, 1].
        reverse: Reverse the channels first: R, G, B become B, G, R, which `mean` and `std` are then for.
        add_zeros: Add a channel of zeros at the end.
        round_to_half: Round to what float16 can hold; the type stays float32.
    """

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        scale: float = 1 / 255,
        *,
        reverse: bool = False,
        add_zeros: bool = False,
        round_to_half: bool = False,
    ) -> None:
        self.mean, self.std, self.scale = tuple(mean), tuple(std), scale
        self.reverse, self.add_zeros, self.round_to_half = reverse, add_zeros, round_to_half

    @property
    def num_channels(self) -> int:
        """How many channels the result has."""
        return len(self.mean) + self.add_zeros

    def __call__(self, image: Array) -> Array:
        """Normalize [..., C] of any real number type to float32, [..., num_channels]."""
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        pixels = image[..., ::-1] if self.reverse else image
        normalized = (pixels.astype(np.float32) * np.float32(self.scale) - mean) / std
        if self.add_zeros:
            zeros = np.zeros((*normalized.shape[:-1], 1), np.float32)
            normalized = np.concatenate([normalized, zeros], axis=-1)
        if self.round_to_half:
            return normalized.astype(np.float16).astype(np.float32)
        return normalized

    def __repr__(self) -> str:
        switches = ("reverse", "add_zeros", "round_to_half")
        more = "".join(f", {name}=True" for name in switches if getattr(self, name))
        return f"Normalize(mean={self.mean}, std={self.std}, scale={self.scale}{more})"


class ToCHW:
    """Moves the channels to the front."""

    def __call__(self, image: Array) -> Array:
        """Transpose [H, W, C] to a C-contiguous [C, H, W] of the same dtype."""
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def __repr__(self) -> str:
        return "ToCHW()"


class NormalizeToCHW:
    """Applies `Normalize` and `ToCHW` in one pass, with bit-identical results; for uint8, 20 times as fast.

    A pixel has 256 possible values, so a lookup table per channel has all results.

    Args:
        normalize: The normalization to apply.
    """

    def __init__(self, normalize: Normalize) -> None:
        self.normalize = normalize
        channels = len(normalize.mean)
        levels = np.broadcast_to(np.arange(_LEVELS, dtype=np.uint8)[:, None], (_LEVELS, channels))
        self._tables = np.ascontiguousarray(normalize(levels).T[:channels])
        self._num_channels = normalize.num_channels

    def __call__(self, image: Array, out: npt.NDArray[np.float32] | None = None) -> Array:
        """Convert [H, W, C] of any real number type to a C-contiguous [num_channels, H, W] float32.

        Args:
            image: The pixels; only uint8 takes the fast path.
            out: Array for the result, [num_channels, H, W] float32; None allocates one.

        Returns:
            `out`, or the new array.
        """
        height, width, channels = image.shape
        if out is None:
            out = np.empty((self._num_channels, height, width), np.float32)
        if image.dtype == np.uint8 and channels == len(self._tables):
            planes: Sequence[Any] = cv2.split(image)
            if self.normalize.reverse:
                planes = planes[::-1]
            for table, plane, place in zip(self._tables, planes, out, strict=False):
                cv2.LUT(plane, table, dst=place)
            if len(out) > channels:
                out[channels:] = 0
        else:
            out[...] = self.normalize(image).transpose(2, 0, 1)
        return out

    def __repr__(self) -> str:
        return f"NormalizeToCHW({self.normalize})"


class ToGray:
    """Converts R, G, B to grey by their luma (source: ITU-R BT.601, as in OpenCV)."""

    def __call__(self, image: Array) -> Array:
        """Convert [H, W, 3] uint8, RGB, to [H, W, 1]."""
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., np.newaxis]

    def __repr__(self) -> str:
        return "ToGray()"
