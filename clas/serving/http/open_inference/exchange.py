"""One request for a prediction and its answer, as HTTP has them."""

from typing import TYPE_CHECKING, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ....errors import MediaTypeError, RequestError
from ....pipeline import Pipeline
from ..inference import Result
from ..request_body import JSON, Inputs, check_encoding, media_type_of
from ..responses import JsonResponse
from .input_tensor import HEADER_LENGTH
from .outputs import write_outputs
from .request import InferRequest, read_request

if TYPE_CHECKING:
    from ....engine.base import Scores

BINARY: Final = "application/octet-stream"
"""Content type of JSON with binary data behind it."""

_SMALL_BYTES: Final = 2**20
"""Largest body with binary data that is read in the event loop: 0.1 ms for a float32 image of 224 pixels."""
_SMALL_JSON_BYTES: Final = 2**14
_LENGTH_DIGITS: Final = 12
_FEW_SCORES: Final = 8000
"""The most scores that are written as JSON in the event loop: 0.4 ms."""


class Exchange:
    """One request; a `Wire`.

    Args:
        request: Its head.
        model_name: The model's.
        max_images: The most images that it may have.

    Raises:
        RequestError: A header is invalid.
    """

    def __init__(self, request: Request, model_name: str, max_images: int) -> None:
        _check_head(request)
        self._json_bytes = _json_bytes(request.headers.get(HEADER_LENGTH))
        self._model_name = model_name
        self._max_images = max_images
        self._request: InferRequest  # from `read`

    def is_quick(self, num_bytes: int) -> bool:
        """See `Wire`."""
        json_bytes = num_bytes if self._json_bytes is None else self._json_bytes
        return num_bytes <= _SMALL_BYTES and json_bytes <= _SMALL_JSON_BYTES

    def read(self, body: bytes, pipeline: Pipeline) -> Inputs:
        """See `Wire`."""
        self._request = read_request(body, self._json_bytes, self._model_name, pipeline, self._max_images)
        return self._request.inputs

    def is_quick_answer(self, result: Result) -> bool:
        """See `Wire`."""
        names_classes = any(output.class_count for output in self._request.outputs)
        return result.scores is not None and result.scores.size <= _FEW_SCORES and not names_classes

    def answer(self, result: Result, pipeline: Pipeline) -> Response:
        """See `Wire`."""
        request = self._request
        scores = cast("Scores", result.scores)  # there are some, since no image may fail alone
        outputs, binary = write_outputs(request.outputs, scores, result.top_k, pipeline.output)
        content: dict[str, object] = {"model_name": self._model_name, "outputs": outputs}
        if request.id is not None:
            content["id"] = request.id
        if request.parameters:
            content["parameters"] = request.parameters
        headers = {"Server-Timing": result.timing}
        if not binary:
            return JsonResponse(content, headers=headers)
        head = msgspec.json.encode(content)
        headers[HEADER_LENGTH] = str(len(head))
        return Response(b"".join((head, *binary)), media_type=BINARY, headers=headers)


def _check_head(request: Request) -> None:
    """Refuse a body that can't be read; many clients say nothing of its type."""
    content_type = request.headers.get("Content-Type") or JSON
    if media_type_of(content_type) not in (JSON, BINARY):
        raise MediaTypeError(f"Content-Type is {content_type[:80]}; send {JSON} or {BINARY}")
    check_encoding(request.headers.get("Content-Encoding", ""))
    if request.scope["query_string"]:
        raise RequestError("the address has a query; it takes none: send parameters in the body")


def _json_bytes(header: str | None) -> int | None:
    """Read the header with the length of the JSON; None if nothing follows the JSON."""
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= _LENGTH_DIGITS):
        raise RequestError(f"{HEADER_LENGTH} is {header[:80]!r}; it takes a whole number of bytes")
    return int(header)
