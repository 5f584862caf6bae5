"""Classify any number of pictures in batches: files, and images that are in memory already."""

import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from ..classifier import Classifier
from ..errors import ImageError, RequestError
from ..image.files import read_file
from ..image.transforms import Image
from ..output.topk import Prediction

BATCH_SIZE: Final = 8
"""Pictures that are classified at a time where nothing else is asked for."""


class Picture(NamedTuple):
    """A picture that is still to be read.

    Attributes:
        name: What it is called in the results.
        load: Gives a whole image file, or an image [H, W, 3] uint8, RGB; raises ImageError.
    """

    name: str
    load: Callable[[], bytes | Image]


class Answered(NamedTuple):
    """A picture's name and its result."""

    name: str
    prediction: Prediction


def from_file(path: Path) -> Picture:
    """A file, read when its turn comes."""
    return Picture(str(path), partial(read_file, path))


def given_pictures(images: object, paths: object) -> list[Picture]:
    """The pictures that are handed over in PaddleHub's way: the images, then the files.

    Args:
        images: A list of arrays [H, W, 3] uint8, BGR, or one array [N, H, W, 3]; None for none. What else
            is among them becomes a picture that fails.
        paths: A list of file names; None for none. Likewise.

    Raises:
        RequestError: Neither is given, or one of them is no list.
    """
    if images is None and paths is None:
        raise RequestError("neither images nor paths is given; give one of them, or both")
    if isinstance(images, np.ndarray) and images.ndim == 4:  # noqa: PLR2004  # N, H, W, 3
        images = list(images)
    arrays = _items("images", images, "arrays [H, W, 3]")
    return [
        *(Picture(f"images[{number}]", partial(_to_rgb, image)) for number, image in enumerate(arrays)),
        *(_named(path) for path in _items("paths", paths, "file names")),
    ]


def classify_pictures(
    classifier: Classifier, pictures: Iterable[Picture], batch_size: int, top_k: object = None
) -> Iterator[list[Answered]]:
    """Classify pictures, a batch at a time; one that can't be read or decoded fails alone.

    Args:
        classifier: The model.
        pictures: Taken one by one, no more than a batch ahead of the results, so that there may be any
            number of them.
        batch_size: How many are classified before their results are given.
        top_k: Results per picture; None for the setting.

    Yields:
        The results of each batch, in the order of the pictures; that of a picture that failed has empty
        lists and an `error`.

    Raises:
        RequestError: `top_k` or `batch_size` is unfit, or the configured crop_size isn't what the model
            takes.
        PredictionError: The model failed.
    """
    if type(batch_size) is not int or batch_size < 1:
        raise RequestError(f"batch_size is {reprlib.repr(batch_size)}; it takes a whole number from 1")
    remaining = iter(pictures)
    while batch := list(islice(remaining, batch_size)):
        predictions = classifier.classify_images([picture.load for picture in batch], top_k)
        yield [
            Answered(picture.name, prediction) for picture, prediction in zip(batch, predictions, strict=True)
        ]


def _items(field: str, given: object, wanted: str) -> Sequence[object]:
    """What a list holds; nothing for None."""
    if isinstance(given, list | tuple):
        return given
    if given is None:
        return ()
    shape = f" {list(given.shape)}" if isinstance(given, np.ndarray) else ""
    raise RequestError(f"{field} is of type {type(given).__name__}{shape}; it takes a list of {wanted}")


def _named(path: object) -> Picture:
    if isinstance(path, str | os.PathLike):
        return from_file(Path(path))
    return Picture(reprlib.repr(path), partial(_refuse, f"the path is of type {type(path).__name__}"))


def _refuse(reason: str) -> bytes:
    raise ImageError(f"{reason}; it takes a file name")


def _to_rgb(image: object) -> Image:
    """Turn an image as OpenCV and PaddleHub have it into one as we have it."""
    found = f"of type {type(image).__name__}"
    if isinstance(image, np.ndarray):
        found = f"{list(image.shape)} of {image.dtype}"
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:  # noqa: PLR2004
            rgb: Image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
            return rgb
    raise ImageError(f"the image is {found}; it takes an array [H, W, 3] of uint8, BGR")
