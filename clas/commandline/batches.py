"""Classify any number of images in batches: files, and images in memory."""

import os
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ..classifier import Classifier
from ..errors import ImageError, RequestError
from ..image.given import is_one, rgb_of
from ..image.sources import ImageSource, from_file
from ..output.base import Prediction

BATCH_SIZE: Final = 8
"""Default number of images that are read before they are classified."""


class Answered(NamedTuple):
    """An image's name and its result."""

    name: str
    prediction: Prediction


def given_images(images: object, paths: object) -> list[ImageSource]:
    """Return the sources for images passed in PaddleHub's way: the arrays, then the files.

    Args:
        images: A list of arrays [H, W, 3] uint8, BGR, or [H, W], or of images of Pillow; one of these; or an
            array [N, H, W, 3]. None for none. Any other item becomes an image that fails.
        paths: A file name or a list of them; None for none. Likewise.

    Raises:
        RequestError: Neither is given, or one of them isn't a list.
    """
    if images is None and paths is None:
        raise RequestError("neither images nor paths is given; give one of them, or both")
    if is_one(images):
        images = [images]
    elif isinstance(images, np.ndarray):
        images = list(images)
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    arrays = _items("images", images, "arrays [H, W, 3]")
    return [
        *(
            ImageSource(f"images[{number}]", partial(rgb_of, image, "BGR"))
            for number, image in enumerate(arrays)
        ),
        *(_from_path(path) for path in _items("paths", paths, "file names")),
    ]


def classify_in_batches(
    classifier: Classifier, sources: Iterable[ImageSource], batch_size: int, top_k: object = None
) -> Iterator[list[Answered]]:
    """Classify images, a batch at a time; one that can't be read or decoded fails alone.

    Args:
        classifier: The model.
        sources: Taken one by one, at most a batch ahead of the results, so that there may be any number.
        batch_size: Images that are classified before their results are yielded.
        top_k: Results per image; None for the setting.

    Yields:
        The results of each batch, in the order of the images; a failed one has empty lists and an `error`.

    Raises:
        RequestError: `top_k` or `batch_size` is invalid, or the configured crop_size isn't the model's.
        PredictionError: The model failed.
    """
    if type(batch_size) is not int or batch_size < 1:
        raise RequestError(f"batch_size is {reprlib.repr(batch_size)}; it takes a whole number from 1")
    remaining = iter(sources)
    while batch := list(islice(remaining, batch_size)):
        predictions = classifier.classify_images([source.load for source in batch], top_k)
        yield [
            Answered(source.name, prediction) for source, prediction in zip(batch, predictions, strict=True)
        ]


def _items(field: str, given: object, wanted: str) -> Sequence[object]:
    """Return the items of a list; none for None."""
    if isinstance(given, list | tuple):
        return given
    if given is None:
        return ()
    raise RequestError(f"{field} is of type {type(given).__name__}; it takes a list of {wanted}")


def _from_path(path: object) -> ImageSource:
    if isinstance(path, str | os.PathLike):
        return from_file(Path(path))
    return ImageSource(reprlib.repr(path), partial(_refuse_path, path))


def _refuse_path(path: object) -> bytes:
    raise ImageError(f"the path is of type {type(path).__name__}; it takes a file name")
