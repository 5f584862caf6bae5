"""The prediction endpoint: receive, decode, run the model, respond."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ...engine.base import Scores
from ...errors import ImageError, SlowRequestError, TooLargeError, UnavailableError
from ...image.model_input import Prepared
from ...pipeline import Pipeline
from ..batching.admission import Admission, Ticket
from ..batching.job import Job
from ..batching.notifier import Notifier
from ..batching.pool import Pool
from ..metrics import Metrics
from ..options import ServerOptions
from .deadline import BEGAN, Deadline
from .decoders import Decoders
from .request_body import JSON, Inputs, check_media_type, read_inputs, read_query
from .responses import success

_SMALL_BYTES: Final = 2**20
"""Largest JSON that is read in the event loop: about 1 ms for a float32 image of 224 pixels."""
_FEW_IMAGES: Final = 8
"""The most images whose best classes are found there: 0.1 ms, with 1000 classes."""


class _PreparedRequest(NamedTuple):
    """The images of one request, and the results per image that it asks for."""

    prepared: Prepared
    top_k: int


class Predict:
    """Answers POST /predict/clas_system.

    Args:
        pool: The predictors.
        options: The limits.
        metrics: Where images and queue times are counted.
        decoders: The threads that decode JSON and images.
        admission: Bounds the requests.
    """

    def __init__(
        self,
        pool: Pool,
        options: ServerOptions,
        metrics: Metrics,
        decoders: Decoders,
        admission: Admission,
    ) -> None:
        self._pool = pool
        self._options = options
        self._metrics = metrics
        self._decoders = decoders
        self._notifier = Notifier()
        self._admission = admission

    async def respond(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            RequestError: It is invalid.
            UnavailableError: The model is being loaded, the server is full, or the deadline is over.
            PredictionError: The model failed.
            ClientDisconnect: The client has disconnected.
        """
        deadline = request.scope.get(BEGAN, time.monotonic()) + self._options.timeout_s
        pipeline = self._pool.ready_pipeline()
        headers = request.headers
        content_type = headers.get("Content-Type", "")
        check_media_type(content_type, headers.get("Content-Encoding", ""))
        top_k = read_query(request.query_params.multi_items()) if request.scope["query_string"] else None
        length = int(headers.get("Content-Length", 0))
        self._check_length(length)
        slow = SlowRequestError(f"the body didn't come within {self._options.timeout_s:g} s (timeout_s)")
        with self._admission.admit(length) as ticket:
            async with Deadline(deadline, slow) as limit:
                body = await self._receive(request, ticket)
                ticket.grow(images=1)
                limit.error = self._too_late()
                limit.watch(request)
                read = partial(read_inputs, content_type, body, top_k, self._options.max_queue_images)
                is_small = content_type == JSON and len(body) <= _SMALL_BYTES
                preparing = self._prepare(pipeline, read, ticket, deadline, is_small=is_small)
                return await self._classify(pipeline, preparing, deadline)

    def _check_length(self, length: int) -> None:
        if length > self._options.max_request_bytes:
            raise TooLargeError(
                f"the body has {length} bytes or more; max_request_bytes is {self._options.max_request_bytes}"
            )

    async def _receive(self, request: Request, ticket: Ticket) -> bytes:
        """Receive the body, within its limit."""
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
        self, pipeline: Pipeline, preparing: Awaitable[_PreparedRequest], deadline: float
    ) -> Response:
        start = time.perf_counter()
        prepared, top_k = await preparing
        elapse_s = time.perf_counter() - start
        timing = f"prepare;dur={elapse_s * 1000:.1f}"
        jobs: list[Job] = []
        scores = await self._compute(prepared, deadline, jobs)
        for job in jobs:
            self._metrics.queue_time.observe(job.queued_s)
            elapse_s += job.compute_s
            timing += f", queue;dur={job.queued_s * 1000:.1f}, predict;dur={job.compute_s * 1000:.1f}"
        num_images = len(prepared.failures)
        self._metrics.images.inc(num_images)
        merge = partial(pipeline.output.merge, scores, prepared.failures, top_k)
        results = merge() if num_images <= _FEW_IMAGES else await self._decoders.run(merge)
        return success(results, elapse_s, timing)

    async def _compute(self, prepared: Prepared, deadline: float, jobs: list[Job]) -> Scores | None:
        """Run the model on each of the tensors, nearly always one; adds the jobs to the list."""
        try:
            jobs.extend(self._pool.submit(tensor, deadline) for tensor in prepared.tensors)
            return prepared.in_order([await self._notifier.wait(job.scores) for job in jobs])
        except BaseException:
            for job in jobs:
                job.scores.cancel()  # nobody waits for the others
            raise

    async def _prepare(
        self,
        pipeline: Pipeline,
        read: Callable[[], Inputs],
        ticket: Ticket,
        deadline: float,
        *,
        is_small: bool,
    ) -> _PreparedRequest:
        """Decode a small tensor here, which is faster than to hand it to a thread; all else in a thread."""
        inputs = read() if is_small else None
        if inputs is not None and not isinstance(inputs.images, list):
            return _prepare(pipeline, inputs, ticket)

        def decode() -> _PreparedRequest:
            if time.monotonic() > deadline:
                raise self._too_late()
            return _prepare(pipeline, read() if inputs is None else inputs, ticket)

        return await self._decoders.run(decode)

    def _too_late(self) -> UnavailableError:
        return UnavailableError(f"there was no time for this request within {self._options.timeout_s:g} s")


def _prepare(pipeline: Pipeline, inputs: Inputs, ticket: Ticket) -> _PreparedRequest:
    """Make the images of a request the model's input, once there is room for them."""
    top_k = pipeline.output.check(inputs.top_k)
    if not isinstance(inputs.images, list):
        batch, field = inputs.images, "revert_params.shape"
        pipeline.input.check(batch.shape, field, inputs.operations)
        ticket.set_images(len(batch))  # before they become float32, four times as large as uint8
        prepared = pipeline.input.of_batch(batch, inputs.operations)
        return _PreparedRequest(prepared, top_k)
    ticket.set_images(len(inputs.images))
    prepared = pipeline.input.of_images(inputs.images, lambda: not ticket.is_over)
    failure = prepared.failures[0]
    if inputs.is_alone and failure:
        raise ImageError(failure)
    return _PreparedRequest(prepared, top_k)
