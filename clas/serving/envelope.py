"""Answers: the same envelope as PaddleHub's, under true HTTP codes."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from ..errors import ClasError, UnauthorizedError, UnavailableError
from ..postprocess import Prediction

_RETRY_AFTER_S: Final = "1"


class JsonResponse(Response):
    """A JSON answer, made by msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401  # as Starlette has it
        """Serialise anything that JSON can hold."""
        return msgspec.json.encode(content)


def answer(prediction: list[Prediction], elapse_s: float) -> Response:
    """The envelope of a success."""
    results = {"prediction": prediction, "elapse": elapse_s}
    return JsonResponse({"status": "000", "msg": "", "results": results})


def refusal(exc: ClasError) -> Response:
    """The envelope of a failure."""
    headers: dict[str, str] = {}
    if isinstance(exc, UnavailableError):
        headers = {"Retry-After": _RETRY_AFTER_S}
    elif isinstance(exc, UnauthorizedError):
        headers = {"WWW-Authenticate": "Bearer"}
    content = {"status": exc.status, "msg": str(exc), "results": ""}
    return JsonResponse(content, exc.http_status, headers)
