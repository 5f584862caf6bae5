"""The endpoint that classifies: receive, prepare (mostly in a thread), go through the model, answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ...classifier import Classifier
from ...errors import ImageError, SlowRequestError, TooLargeError, UnavailableError
from ...image.model_input import Prepared
from ..batching.admission import Admission, Ticket
from ..batching.notifier import Mailbox
from ..batching.pool import Engine
from ..metrics import Metrics
from ..options import ServerOptions
from .deadline import Patience
from .request_body import JSON, Inputs, check_media_type, read_inputs, read_query
from .responses import answer

_SMALL_BYTES: Final = 2**20
"""Of JSON that is read in the event loop: about 1 ms for a float32 image of 224 pixels."""
_SHORT_IMAGES: Final = 8
"""Whose best classes are looked up there: 0.1 ms, with 1000 classes."""

_Result = TypeVar("_Result")


class Predict:
    """Answers POST /predict/clas_system.

    Args:
        engine: The model.
        options: The limits.
        metrics: Where images and waiting times are counted.
        executor: Where JSON and images are decoded; its size bounds how many at once.
    """

    def __init__(self, engine: Engine, options: ServerOptions, metrics: Metrics, executor: Executor) -> None:
        self._engine = engine
        self._options = options
        self._metrics = metrics
        self._executor = executor
        self._finished = Mailbox()
        self._admission = Admission(
            options.max_queue_images, options.max_queue_bytes, metrics.queue_images.set
        )

    async def respond(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            RequestError: It is unfit.
            UnavailableError: The model is being loaded, there is too much to do, or the time is over.
            PredictionError: The model failed.
            ClientDisconnect: Nobody waits for an answer any more.
        """
        deadline = time.monotonic() + self._options.timeout_s
        classifier = self._engine.usable()
        headers = request.headers
        content_type = headers.get("Content-Type", "")
        check_media_type(content_type, headers.get("Content-Encoding", ""))
        top_k = read_query(request.query_params.multi_items()) if request.scope["query_string"] else None
        length = int(headers.get("Content-Length", 0))
        self._check_length(length)
        slow = SlowRequestError(f"the body didn't come within {self._options.timeout_s:g} s (timeout_s)")
        with self._admission.admit(length) as ticket:
            async with Patience(deadline, slow) as patience:
                body = await self._receive(request, ticket)
                ticket.grow(images=1)
                patience.over = self._too_late()
                patience.watch(request)
                read = partial(read_inputs, content_type, body, top_k, self._options.max_queue_images)
                is_small = content_type == JSON and len(body) <= _SMALL_BYTES
                preparing = self._prepare(classifier, read, ticket, deadline, is_small=is_small)
                return await self._classify(classifier, preparing, deadline)

    def _check_length(self, length: int) -> None:
        if length > self._options.max_request_bytes:
            raise TooLargeError(
                f"the body has {length} bytes or more; max_request_bytes is {self._options.max_request_bytes}"
            )

    async def _receive(self, request: Request, ticket: Ticket) -> bytes:
        """Take in the body, as long as it stays within its bound."""
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            if part:
                parts.append(part)
            size += len(part)
            self._check_length(size)
            ticket.grow(num_bytes=len(part))
        return b"".join(parts)

    async def _classify(
        self, classifier: Classifier, preparing: Awaitable[Prepared], deadline: float
    ) -> Response:
        start = time.perf_counter()
        prepared = await preparing
        elapse_s = time.perf_counter() - start
        timing = f"prepare;dur={elapse_s * 1000:.1f}"
        scores = None
        if len(prepared.tensor):
            job = self._engine.batcher.submit(prepared.tensor, deadline)
            scores = await self._finished.wait(job.scores)
            self._metrics.queue_time.observe(job.queued_s)
            elapse_s += job.compute_s
            timing += f", queue;dur={job.queued_s * 1000:.1f}, predict;dur={job.compute_s * 1000:.1f}"
        self._metrics.images.inc(len(prepared.failures))
        name = partial(classifier.results, prepared, scores)
        is_short = len(prepared.failures) <= _SHORT_IMAGES
        return answer(name() if is_short else await self._in_thread(name), elapse_s, timing)

    async def _prepare(
        self,
        classifier: Classifier,
        read: Callable[[], Inputs],
        ticket: Ticket,
        deadline: float,
        *,
        is_small: bool,
    ) -> Prepared:
        """A small tensor is made ready here, faster than a thread could be told to; all else in a thread."""
        inputs = read() if is_small else None
        if inputs is not None and not isinstance(inputs.images, list):
            return _prepare(classifier, inputs, ticket)

        def prepare() -> Prepared:
            if time.monotonic() > deadline:
                raise self._too_late()
            return _prepare(classifier, read() if inputs is None else inputs, ticket)

        return await self._in_thread(prepare)

    async def _in_thread(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def _too_late(self) -> UnavailableError:
        return UnavailableError(f"there was no time for this request within {self._options.timeout_s:g} s")


def _prepare(classifier: Classifier, inputs: Inputs, ticket: Ticket) -> Prepared:
    """Decode, once there is room for the images."""
    if not isinstance(inputs.images, list):
        prepared = classifier.preparation.of_batch(
            inputs.images, inputs.top_k, field="revert_params.shape", operations=inputs.operations
        )
        ticket.set_images(len(prepared.tensor))
        return prepared
    ticket.set_images(len(inputs.images))
    prepared = classifier.preparation.of_images(inputs.images, inputs.top_k, lambda: not ticket.is_over)
    failure = prepared.failures[0]
    if inputs.is_alone and failure:
        raise ImageError(failure["error"])
    return prepared
