"""Models that take pixels as they are, in uint8, rather than normalized ones."""

from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError
from .normalize import Normalize

BRIGHTEST: Final = 255


def check_unchanged(normalize: Normalize) -> None:
    """Check that a normalization leaves pixels as they are.

    Raises:
        SettingsError: It doesn't.
    """
    if (set(normalize.mean), set(normalize.std), normalize.scale) != ({0}, {1}, 1):
        raise SettingsError(
            "the model takes pixels (uint8), but the settings normalize them: "
            f"mean is {list(normalize.mean)}, std is {list(normalize.std)}, scale is {normalize.scale:.4g}; "
            "set mean to [0, 0, 0], std to [1, 1, 1] and scale to 1"
        )


def are_levels(tensor: npt.NDArray[np.float32]) -> bool:
    """Whether all values are whole numbers from 0 to 255."""
    is_within = tensor.min(initial=0) >= 0 and tensor.max(initial=0) <= BRIGHTEST
    return bool(is_within and (tensor == np.trunc(tensor)).all())
