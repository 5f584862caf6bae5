"""Responses under true HTTP status codes: PaddleHub's envelope, and errors of either protocol."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from ...errors import ClasError, UnauthorizedError, UnavailableError
from ...output.base import Prediction
from ...protocol import OPEN_INFERENCE_PATH

LINGER_BYTES: Final = 128 * 2**20
"""Bytes that a client may still send when its request is refused, so that it comes to read why."""

_RETRY_AFTER_S: Final = "1"


class JsonResponse(Response):
    """A JSON response, serialized by msgspec, with a line end for those who read it in a terminal."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401  # as Starlette has it
        """Serialize the content."""
        return msgspec.json.encode(content) + b"\n"


def success(prediction: list[Prediction], elapse_s: float, timing: str = "") -> Response:
    """Build the response of a success.

    Args:
        prediction: An entry per image.
        elapse_s: Seconds spent predicting.
        timing: Value of the header Server-Timing; empty for no such header.
    """
    results = {"prediction": prediction, "elapse": elapse_s}
    headers = {"Server-Timing": timing} if timing else None
    return JsonResponse({"status": "000", "msg": "", "results": results}, headers=headers)


def is_open_inference(path: str) -> bool:
    """Return whether a path belongs to the Open Inference Protocol."""
    return path == OPEN_INFERENCE_PATH or path.startswith(f"{OPEN_INFERENCE_PATH}/")


def failure(exc: ClasError, path: str = "") -> Response:
    """Build the response of a failure, in the form of the protocol that the path belongs to."""
    headers: dict[str, str] = {}
    if isinstance(exc, UnavailableError):
        headers = {"Retry-After": _RETRY_AFTER_S}
    elif isinstance(exc, UnauthorizedError):
        headers = {"WWW-Authenticate": "Bearer"}
    if is_open_inference(path):
        return JsonResponse({"error": str(exc)}, exc.http_status, headers)
    content = {"status": exc.status, "msg": str(exc), "results": ""}
    return JsonResponse(content, exc.http_status, headers)
