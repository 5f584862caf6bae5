"""The order of the axes of a model's input."""

from collections.abc import Sequence
from typing import Final

CHANNELS: Final = 3
"""Those of a decoded image: R, G, B."""

_LIKELY_CHANNELS: Final = (1, 3, 4)


def is_channels_last(input_shape: Sequence[int | None]) -> bool:
    """Whether a model takes [N, H, W, C] rather than [N, C, H, W]: only the last size can be of channels."""
    return input_shape[3] in _LIKELY_CHANNELS and input_shape[1] not in _LIKELY_CHANNELS


def image_shape(width: int, height: int, input_shape: Sequence[int | None]) -> tuple[int, int, int]:
    """Return the shape of a preprocessed image, in the order of the axes of this model."""
    return (height, width, CHANNELS) if is_channels_last(input_shape) else (CHANNELS, height, width)


def size_axes(input_shape: Sequence[int | None]) -> tuple[int, int]:
    """Return the axes of height and width."""
    return (1, 2) if is_channels_last(input_shape) else (2, 3)


def image_size(input_shape: Sequence[int | None]) -> tuple[int | None, int | None]:
    """Return the width and height that a model takes; None where it takes any."""
    rows, columns = size_axes(input_shape)
    return input_shape[columns], input_shape[rows]
