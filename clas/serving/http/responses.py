"""Answers: the same envelope as PaddleHub's, under true HTTP codes."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from ...errors import ClasError, UnauthorizedError, UnavailableError
from ...output.topk import Prediction

_RETRY_AFTER_S: Final = "1"


class JsonResponse(Response):
    """A JSON answer, made by msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401  # as Starlette has it
        """Serialise anything that JSON can hold."""
        return msgspec.json.encode(content)


def answer(prediction: list[Prediction], elapse_s: float, timing: str = "") -> Response:
    """The envelope of a success.

    Args:
        prediction: An entry for each image.
        elapse_s: Seconds spent predicting.
        timing: Where they went, as the header Server-Timing has it; empty for no such header.
    """
    results = {"prediction": prediction, "elapse": elapse_s}
    headers = {"Server-Timing": timing} if timing else None
    return JsonResponse({"status": "000", "msg": "", "results": results}, headers=headers)


def refusal(exc: ClasError) -> Response:
    """The envelope of a failure."""
    headers: dict[str, str] = {}
    if isinstance(exc, UnavailableError):
        headers = {"Retry-After": _RETRY_AFTER_S}
    elif isinstance(exc, UnauthorizedError):
        headers = {"WWW-Authenticate": "Bearer"}
    content = {"status": exc.status, "msg": str(exc), "results": ""}
    return JsonResponse(content, exc.http_status, headers)
