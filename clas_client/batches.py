"""Group images into batches, call ahead, and put a batch into the body of a request."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

import numpy as np

from clas.image.transforms import Array
from clas.protocol import tensor_body

from .answer import ServiceError

_Name = TypeVar("_Name")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_batches(items: Iterable[tuple[_Name, _Item]], size: int) -> Iterator[tuple[list[_Name], list[_Item]]]:
    """Group images, and what each is known by, by `size`; the last group holds what is left."""
    names: list[_Name] = []
    images: list[_Item] = []
    for name, image in items:
        names.append(name)
        images.append(image)
        if len(names) == size:
            yield names, images
            names, images = [], []
    if names:
        yield names, images


def map_ahead(
    executor: Executor | None, function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[_Result]:
    """Call a function on each item, in the executor's threads, and give the results in the items' order.

    Args:
        executor: Where; None calls it in this thread, when the result is asked for.
        function: What to call.
        items: What on; taken one by one, so that there may be any number of them.
        ahead: How many calls may be under way, or done before their result is asked for.
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
    """The body of a request for images of one shape, in tensor form.

    Args:
        images: By convention [C, H, W] float32; [H, W, C] of pixels, with operations.
        operations: What is left to the server, of protocol.OPERATIONS.
        top_k: How many classes to answer; None leaves it to the server.

    Raises:
        ServiceError: The shapes differ.
    """
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ServiceError(f"the images of one batch must have one shape; they have {sorted(shapes)}")
    return tensor_body(np.stack(images), operations, top_k)
