"""The prediction endpoint in the original protocol."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ...pipeline import Pipeline
from .inference import Inference, Result
from .request_body import JSON, Inputs, check_media_type, read_inputs, read_query
from .responses import success

_FEW_IMAGES: Final = 8
"""The most images whose best classes are found in the event loop: 0.1 ms, with 1000 classes."""
_SMALL_BYTES: Final = 2**20
"""Largest JSON that is read in the event loop: about 1 ms for a float32 image of 224 pixels."""


class Predict:
    """Answers POST /predict/NAME.

    Args:
        inference: Runs the requests.
    """

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def respond(self, request: Request) -> Response:
        """Answer one request; raises as `Inference.respond`."""
        max_images = self._inference.options.max_queue_images
        name = request.path_params["name"]
        return await self._inference.respond(request, name, lambda: _Exchange(request, max_images))


class _Exchange:
    """One request; a `Wire`.

    Args:
        request: Its head.
        max_images: The most images that it may have.

    Raises:
        RequestError: The content type or the query is invalid.
    """

    def __init__(self, request: Request, max_images: int) -> None:
        headers = request.headers
        self._content_type = headers.get("Content-Type", "")
        check_media_type(self._content_type, headers.get("Content-Encoding", ""))
        has_query = bool(request.scope["query_string"])
        self._top_k = read_query(request.query_params.multi_items()) if has_query else None
        self._max_images = max_images

    def is_quick(self, num_bytes: int) -> bool:
        """See `Wire`."""
        return self._content_type == JSON and num_bytes <= _SMALL_BYTES

    def read(self, body: bytes, _: Pipeline) -> Inputs:
        """See `Wire`."""
        return read_inputs(self._content_type, body, self._top_k, self._max_images)

    def is_quick_answer(self, result: Result) -> bool:
        """See `Wire`."""
        return len(result.failures) <= _FEW_IMAGES

    def answer(self, result: Result, pipeline: Pipeline) -> Response:
        """See `Wire`."""
        results = pipeline.output.merge(result.scores, result.failures, result.top_k)
        return success(results, result.elapse_s, result.timing)
