"""Group images into batches, work ahead, and encode a batch as the body of a request."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

import numpy as np

from clas.image.resize import Array
from clas.protocol import tensor_body

from .reply import ServiceError

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_batches(items: Iterable[tuple[_Key, _Item]], size: int) -> Iterator[tuple[list[_Key], list[_Item]]]:
    """Group pairs of a key and an image by `size`; the last batch holds the rest."""
    keys: list[_Key] = []
    images: list[_Item] = []
    for key, image in items:
        keys.append(key)
        images.append(image)
        if len(keys) == size:
            yield keys, images
            keys, images = [], []
    if keys:
        yield keys, images


def map_ahead(
    executor: Executor | None, function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[_Result]:
    """Call a function on each item in the executor's threads, and yield the results in the items' order.

    Args:
        executor: Where to call it; None calls it in this thread, when its result is asked for.
        function: What to call.
        items: Taken one by one, so that there may be any number of them.
        ahead: How many calls may be running, or done before their result is asked for.
    """
    if executor is None:
        yield from map(function, items)
        return
    pending: deque[Future[_Result]] = deque()
    for item in items:
        pending.append(executor.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def stacked_body(images: Sequence[Array], operations: Sequence[str] = (), top_k: int | None = None) -> bytes:
    """Return the body of a request in tensor form for images of one shape.

    Args:
        images: By convention [C, H, W] float32; with operations, pixels [H, W, C].
        operations: Those of protocol.OPERATIONS that are left to the server.
        top_k: Classes per image; None leaves it to the server.

    Raises:
        ServiceError: The shapes differ.
    """
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ServiceError(f"the images of a batch must have the same shape; they have {sorted(shapes)}")
    return tensor_body(np.stack(images), operations, top_k)
