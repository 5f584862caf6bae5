"""Images for the warm-up of a model: what it makes of them shows whether it returns probabilities."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

_SEED: Final = 0
_LIGHT: Final = 2.0
"""About white, in ImageNet's normalization."""


def probe_batches(shape: Sequence[int], dtype: str) -> Iterator[npt.NDArray[np.float32]]:
    """Yield batches with these images in turn: zeros (which logits may survive as zeros), light ones, noise.

    Args:
        shape: That of a batch.
        dtype: That of the model's input; of the values, that are float32 all the same, those of uint8 are
            whole numbers from 0 to 255.
    """
    random = np.random.default_rng(_SEED)
    size = tuple(shape[1:])
    light, noise = np.full(size, _LIGHT), random.standard_normal(size)
    if dtype == "uint8":
        light, noise = np.full(size, 255.0), np.floor(random.uniform(0, 256, size))
    images = [np.zeros(size), light, noise]
    count = shape[0]
    for start in range(0, len(images), count):
        numbers = [number % len(images) for number in range(start, start + count)]
        yield np.stack([images[number] for number in numbers]).astype(np.float32)
