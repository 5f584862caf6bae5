"""The endpoint that classifies: receive, decode in a thread, go through the model, answer."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..classifier import Classifier
from ..errors import ImageError, SlowRequestError, TooLargeError, UnavailableError
from ..preparation import Prepared
from .admission import Admission, Ticket
from .engine import Engine
from .envelope import answer
from .inputs import Inputs, check_media_type, read_inputs, read_query
from .metrics import Metrics
from .options import ServerOptions

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
        top_k = read_query(request.query_params.multi_items())
        length = int(headers.get("Content-Length", 0))
        self._check_length(length)
        with self._admission.admit(length) as ticket:
            body = await self._receive(request, ticket, deadline)
            ticket.grow(images=1)

            def prepare() -> Prepared:
                if time.monotonic() > deadline:
                    raise self._too_late()
                inputs = read_inputs(content_type, body, top_k, self._options.max_queue_images)
                return _prepare(classifier, inputs, ticket)

            work = self._classify(classifier, prepare, deadline)
            return await self._unless_over(work, request, deadline)

    def _check_length(self, length: int) -> None:
        if length > self._options.max_request_bytes:
            raise TooLargeError(
                f"the body has {length} bytes or more; max_request_bytes is {self._options.max_request_bytes}"
            )

    async def _receive(self, request: Request, ticket: Ticket, deadline: float) -> bytes:
        """Take in the body, as long as it comes in time and stays within its bound."""

        async def collect() -> bytes:
            parts: list[bytes] = []
            size = 0
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                self._check_length(size)
                ticket.grow(num_bytes=len(part))
            return b"".join(parts)

        try:
            return await asyncio.wait_for(collect(), deadline - time.monotonic())
        except asyncio.TimeoutError as exc:
            raise SlowRequestError(
                f"the body didn't come within {self._options.timeout_s:g} s (timeout_s)"
            ) from exc

    async def _classify(
        self, classifier: Classifier, prepare: Callable[[], Prepared], deadline: float
    ) -> Response:
        start = time.perf_counter()
        prepared = await self._in_thread(prepare)
        elapse_s = time.perf_counter() - start
        scores = None
        if len(prepared.tensor):
            job = self._engine.batcher.submit(prepared.tensor, deadline)
            scores = await asyncio.wrap_future(job.scores)
            self._metrics.queue_time.observe(job.queued_s)
            elapse_s += job.compute_s
        self._metrics.images.inc(len(prepared.failures))
        return await self._in_thread(lambda: answer(classifier.results(prepared, scores), elapse_s))

    async def _in_thread(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def _unless_over(
        self, work: Coroutine[Any, Any, Response], request: Request, deadline: float
    ) -> Response:
        """Await `work`, but not beyond the deadline, and not for a client that has gone."""
        working = asyncio.create_task(work)
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait(
                {working, gone}, timeout=deadline - time.monotonic(), return_when=asyncio.FIRST_COMPLETED
            )
            if working.done():
                return working.result()
            raise ClientDisconnect if gone.done() else self._too_late()
        finally:
            working.cancel()
            gone.cancel()
            await asyncio.gather(working, gone, return_exceptions=True)

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


async def _disconnected(request: Request) -> None:
    """Return when the client has hung up; the whole body has been received before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
