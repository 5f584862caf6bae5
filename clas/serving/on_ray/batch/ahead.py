"""Classifies images while the next ones are read and decoded, in bounded memory.

Each thread reads and decodes a batch and runs it: while the model computes the batch of one, others decode.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Final

from ....classifier import Classifier
from ....commandline.batches import Answered
from ....image.decode import Image, count_pixels
from ....image.sources import own_image
from .reading import Waiting

LARGE_PIXELS: Final = 24_000_000
"""From here on an image is decoded alone: it takes 72 MB, and as much again when it is turned."""

_MOST_BYTES: Final = 32 * 2**20  # of a batch

_one_large_image: Final = threading.Lock()


def classify_ahead(
    classifier: Classifier, sources: Iterable[Waiting], num_threads: int
) -> Iterator[list[Answered]]:
    """Classify images in batches; one that can't be read or decoded fails alone.

    Args:
        classifier: The model.
        sources: The images; taken one by one, at most a batch for each thread and one more ahead.
        num_threads: How many batches are under way at once.

    Yields:
        The results of each batch, in the order of the images.

    Raises:
        PredictionError: The model failed.
        OSError: An image's storage doesn't answer.
    """
    with ThreadPoolExecutor(num_threads, "batch") as executor:
        pending: deque[Future[list[Answered]]] = deque()
        try:
            for batch in _batches(sources, classifier.max_batch_size):
                pending.append(executor.submit(_classify, classifier, batch))
                if len(pending) > num_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _batches(sources: Iterable[Waiting], size: int) -> Iterator[list[Waiting]]:
    """Yield up to so many images at a time, fewer of those that are large and in memory already."""
    batch: list[Waiting] = []
    num_bytes = 0
    for source in sources:
        batch.append(source)
        num_bytes += source.num_bytes
        if len(batch) == size or num_bytes >= _MOST_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


def _classify(classifier: Classifier, batch: Sequence[Waiting]) -> list[Answered]:
    with closing(_Turns(classifier.max_image_pixels)) as turns:
        predictions = classifier.classify_images([partial(turns.load, source) for source in batch])
    return [Answered(source.name, prediction) for source, prediction in zip(batch, predictions, strict=True)]


class _Turns:
    """Loads the images of a batch, one by one; a large one keeps other large ones waiting until the next.

    Args:
        max_pixels: See `own_image`.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._has_lock = False

    def load(self, source: Waiting) -> bytes | Image:
        """Read the next image; the one before it has become the model's input by now."""
        self.close()
        data = source.load()
        if count_pixels(data) >= LARGE_PIXELS:
            self._has_lock = _one_large_image.acquire()
        return own_image(data, self._max_pixels)

    def close(self) -> None:
        """Let the next large image be decoded."""
        if self._has_lock:
            self._has_lock = False
            _one_large_image.release()
