"""A prediction on its way through the server, in whatever protocol it comes."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response

from ...engine.base import Scores
from ...errors import ImageError, SlowRequestError, TooLargeError, UnavailableError
from ...image.model_input import Prepared
from ...pipeline import Pipeline
from ..batching.admission import Ticket
from ..batching.job import Job
from ..batching.notifier import Notifier
from ..batching.pool import Pool
from ..models.registry import Models
from ..models.served_model import ServedModel
from ..options import ServerOptions
from .deadline import BEGAN, Deadline
from .decoders import Decoders
from .request_body import Inputs

VERSION_HEADER: Final = "X-Model-Version"
"""The header that tells which model has answered; see `Pool.version`."""


class Result(NamedTuple):
    """What the model made of one request.

    Attributes:
        scores: [n, outputs of the model], a row per image that didn't fail; None if all did.
        failures: For each image of the request the reason why it failed, or None.
        top_k: Results per image.
        elapse_s: Seconds spent predicting.
        timing: Value of the header Server-Timing.
    """

    scores: Scores | None
    failures: Sequence[str | None]
    top_k: int
    elapse_s: float
    timing: str


class Wire(Protocol):
    """One request in its protocol; an object for each request."""

    def is_quick(self, num_bytes: int) -> bool:
        """Whether a body of this size is read in the event loop, which is faster than in a thread."""

    def read(self, body: bytes, pipeline: Pipeline) -> Inputs:
        """Read the body; called once.

        Raises:
            RequestError: It is invalid.
        """

    def is_quick_answer(self, result: Result) -> bool:
        """Whether the answer is built in the event loop; called after `read`."""

    def answer(self, result: Result, pipeline: Pipeline) -> Response:
        """Build the answer; called after `read`."""


class _PreparedRequest(NamedTuple):
    """The images of one request, and the results per image that it asks for."""

    prepared: Prepared
    top_k: int


class _Run(NamedTuple):
    """What a request runs on, and until when: the same from its head to its answer."""

    model: ServedModel
    pool: Pool
    pipeline: Pipeline
    deadline: float


class Inference:
    """Runs requests through their models, within the limits: receive, decode, run, respond.

    Args:
        models: The models.
        options: The limits.
        decoders: The threads that decode requests.

    Attributes:
        models: As given.
        options: As given.
        decoders: As given.
    """

    def __init__(self, models: Models, options: ServerOptions, decoders: Decoders) -> None:
        self.models = models
        self.options = options
        self.decoders = decoders
        self._notifier = Notifier()

    async def respond(self, request: Request, name: str, open_wire: Callable[[], Wire]) -> Response:
        """Answer one request.

        Args:
            request: Its head.
            name: The model's.
            open_wire: Checks the head, and returns how the request is read and answered.

        Raises:
            NotFoundError: There is no model of this name.
            RequestError: It is invalid.
            UnavailableError: The model is being loaded, the server is full, or the deadline is over.
            PredictionError: The model failed.
            ClientDisconnect: The client has disconnected.
        """
        model = self.models[name]
        deadline = request.scope.get(BEGAN, time.monotonic()) + self.options.timeout_s
        await self.models.bring(model, deadline)
        with model.lease() as pool:
            run = _Run(model, pool, pool.ready_pipeline(), deadline)
            response = await self._respond(run, request, open_wire)
        response.headers[VERSION_HEADER] = pool.version
        return response

    async def _respond(self, run: _Run, request: Request, open_wire: Callable[[], Wire]) -> Response:
        wire = open_wire()
        length = int(request.headers.get("Content-Length", 0))
        self._check_length(length)
        slow = SlowRequestError(f"the body didn't come within {self.options.timeout_s:g} s (timeout_s)")
        with run.model.admission.admit(length) as ticket:
            async with Deadline(run.deadline, slow) as limit:
                body = await self._receive(request, ticket)
                ticket.grow(images=1)
                limit.error = self._too_late()
                limit.watch(request)
                read = partial(wire.read, body, run.pipeline)
                preparing = self._prepare(run, read, ticket, is_quick=wire.is_quick(len(body)))
                result = await self._run(run, preparing)
                answer = partial(wire.answer, result, run.pipeline)
                if wire.is_quick_answer(result):
                    return answer()
                return await self.decoders.run(answer, run.model.name)

    def _check_length(self, length: int) -> None:
        if length > self.options.max_request_bytes:
            raise TooLargeError(
                f"the body has {length} bytes or more; max_request_bytes is {self.options.max_request_bytes}"
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

    async def _run(self, run: _Run, preparing: Awaitable[_PreparedRequest]) -> Result:
        metrics = run.model.metrics
        start = time.perf_counter()
        prepared, top_k = await preparing
        elapse_s = time.perf_counter() - start
        metrics.prepare_time.observe(elapse_s)
        timing = f"prepare;dur={elapse_s * 1000:.1f}"
        jobs: list[Job] = []
        scores = await self._compute(run, prepared, jobs)
        for job in jobs:
            metrics.queue_time.observe(job.queued_s)
            metrics.compute_time.observe(job.compute_s)
            elapse_s += job.compute_s
            timing += f", queue;dur={job.queued_s * 1000:.1f}, predict;dur={job.compute_s * 1000:.1f}"
        metrics.images.inc(len(prepared.failures))
        return Result(scores, prepared.failures, top_k, elapse_s, timing)

    async def _compute(self, run: _Run, prepared: Prepared, jobs: list[Job]) -> Scores | None:
        """Run the model on each of the tensors, nearly always one; adds the jobs to the list."""
        try:
            jobs.extend(run.pool.submit(tensor, run.deadline) for tensor in prepared.tensors)
            return prepared.in_order([await self._notifier.wait(job.scores) for job in jobs])
        except BaseException:
            for job in jobs:
                job.scores.cancel()  # nobody waits for the others
            raise

    async def _prepare(
        self, run: _Run, read: Callable[[], Inputs], ticket: Ticket, *, is_quick: bool
    ) -> _PreparedRequest:
        """Decode a small tensor here, which is faster than to hand it to a thread; all else in a thread."""
        inputs = read() if is_quick else None
        if inputs is not None and not isinstance(inputs.images, list):
            return _prepare(run.pipeline, inputs, ticket)

        def decode() -> _PreparedRequest:
            if time.monotonic() > run.deadline:
                raise self._too_late()
            return _prepare(run.pipeline, read() if inputs is None else inputs, ticket)

        return await self.decoders.run(decode, run.model.name)

    def _too_late(self) -> UnavailableError:
        return UnavailableError(f"there was no time for this request within {self.options.timeout_s:g} s")


def _prepare(pipeline: Pipeline, inputs: Inputs, ticket: Ticket) -> _PreparedRequest:
    """Make the images of a request the model's input, once there is room for them."""
    top_k = pipeline.output.check(inputs.top_k)
    if not isinstance(inputs.images, list):
        batch = inputs.images
        pipeline.input.check(batch.shape, inputs.shape_field, inputs.operations)
        ticket.set_images(len(batch))  # before they become float32, four times as large as uint8
        prepared = pipeline.input.of_batch(batch, inputs.operations)
        return _PreparedRequest(prepared, top_k)
    ticket.set_images(len(inputs.images))
    prepared = pipeline.input.of_images(
        inputs.images, lambda: not ticket.is_over, lambda size: ticket.grow(num_bytes=size)
    )
    if inputs.is_atomic:
        _refuse_failures(prepared.failures)
    return _PreparedRequest(prepared, top_k)


def _refuse_failures(failures: Sequence[str | None]) -> None:
    for number, failure in enumerate(failures, start=1):
        if failure:
            where = f"image {number} of {len(failures)}: " if len(failures) > 1 else ""
            raise ImageError(f"{where}{failure}")
