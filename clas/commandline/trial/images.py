"""The images that engines are tried on: the user's, or else generated ones."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from ...engine.base import Batch, EngineInfo
from ...image.decode import Image
from ...image.files import find_images
from ...image.layout import image_shape
from ...image.sources import ImageSource, from_own_file
from ...pipeline import Pipeline
from ..cells import shown_name
from ..terminal import LOGGER

WEAK_SIGN: Final = "agreement on generated images is a weak sign: name some of your own"

_SIDE: Final = 256  # pixels of a generated image
_GRIDS: Final = (2, 5, 16, 64)  # from large patches of colour to fine grain


@dataclasses.dataclass(frozen=True)
class TrialImages:
    """The images of a trial; small, since it travels to other processes.

    Attributes:
        files: The user's; empty for generated images.
        count: How many images there are.
    """

    files: Sequence[Path]
    count: int

    def __str__(self) -> str:
        return f"{self.count} images" if self.files else f"{self.count} generated images"

    def first(self, count: int) -> "TrialImages":
        """Return the first images only."""
        return TrialImages(self.files[:count], min(count, self.count))

    def sources(self) -> Iterator[ImageSource]:
        """Yield the images."""
        if self.files:
            yield from map(from_own_file, self.files)
        else:
            for number in range(self.count):
                yield ImageSource(f"generated {number}", partial(generated_image, number))

    def batches(self, pipeline: Pipeline, info: EngineInfo, failures: list[str]) -> Iterator[Batch]:
        """Yield the images as the model takes them, in batches that its engine takes at once.

        A model that takes no images gets noise in place of generated ones.

        Args:
            pipeline: The model's input.
            info: How its engine runs.
            failures: Gets a line for each image that can't be decoded, and is left out.

        Raises:
            RequestError: The model doesn't take images of this shape.
        """
        if not self.files and pipeline.input.warning:
            yield from (noise(number, info.input_shape, info.input_dtype) for number in range(self.count))
            return
        remaining = self.sources()
        while sources := list(islice(remaining, info.batch_limit)):
            prepared = pipeline.input.of_images([source.load for source in sources])
            failures += [
                f"{source.name}: {failure}"
                for source, failure in zip(sources, prepared.failures, strict=True)
                if failure
            ]
            yield from prepared.tensors


def trial_images(paths: Sequence[Path], most: int, generated: int) -> TrialImages:
    """Choose the images of a trial.

    Args:
        paths: The user's images and folders of images; empty for generated images.
        most: How many of the user's to take at most, evenly among all that are found.
        generated: How many to generate.
    """
    found = [file for path in paths for file in find_images(path, _warn)]
    if not found:
        return TrialImages((), generated)
    step = max(1.0, len(found) / most)
    files = [found[int(number * step)] for number in range(min(most, len(found)))]
    return TrialImages(files, len(files))


def _warn(error: OSError) -> None:
    LOGGER.warning("%s: %s", shown_name(str(error.filename)), error.strerror)


def generated_image(number: int) -> Image:
    """Generate an image of soft patches and grain, the same one for the same number.

    Returns:
        [256, 256, 3] uint8, RGB.
    """
    random = np.random.default_rng(number)
    image = np.full((_SIDE, _SIDE, 3), 0.5, np.float32)
    for grid in _GRIDS:
        patches = random.normal(0, 0.2, (grid, grid, 3)).astype(np.float32)
        image += cv2.resize(patches, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(image * 255, 0, 255).astype(np.uint8)


def noise(number: int, input_shape: Sequence[int | None], input_dtype: str) -> Batch:
    """Generate noise for a model that takes no images, the same for the same number.

    Args:
        number: Of this noise.
        input_shape: The model's; see `EngineInfo`.
        input_dtype: Likewise.

    Returns:
        A batch of one.
    """
    defaults = image_shape(_SIDE, _SIDE, input_shape)
    size = [given or default for given, default in zip(input_shape[1:], defaults, strict=True)]
    random = np.random.default_rng(number)
    values: Batch = random.standard_normal((1, *size), np.float32)
    if input_dtype == "uint8":
        values = np.floor(random.uniform(0, 256, (1, *size))).astype(np.float32)
    return values
