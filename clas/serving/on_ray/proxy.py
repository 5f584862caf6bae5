"""ASGI middleware around Ray's proxy: its error responses in our envelope."""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import ClasError, NotFoundError, UnavailableError
from ...protocol import PREDICT_PATH
from ..http.responses import failure

_OWN_PATHS: Final = "/-/"  # of the proxy itself: health and routes
_BUSY: Final = (408, 429, 503)
_SHOWN_CHARACTERS: Final = 200


class EnvelopeMiddleware:
    """Translates Ray's plain-text error responses.

    Ray answers in plain text that there are too many requests, no replica, or nothing at a path. When a
    replica has died, it doesn't answer at all. All of these become the envelope, so that a client reads one
    kind of response, and retries what another replica can answer.

    Args:
        app: Ray's proxy.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(_OWN_PATHS):
            await self._app(scope, receive, send)
            return
        response = _Response(scope["path"], send)
        await self._app(scope, receive, response.send)
        if response.error is None and not response.has_started:
            response.error = UnavailableError("the replica that had this request is gone: retry")
        if response.error is not None:
            await failure(response.error, scope["path"])(scope, receive, send)


class _Response:
    """Passes on the response of a replica, and holds back one of Ray itself."""

    def __init__(self, path: str, send: Send) -> None:
        self.has_started = False
        self.error: ClasError | None = None
        self._path = path
        self._send = send
        self._status = 0
        self._text = bytearray()

    async def send(self, message: Message) -> None:
        """Send the next part of the response."""
        if message["type"] == "http.response.start":
            self.has_started = True
            if _is_rays(message):
                self._status = message["status"]
                return
        if self._status:
            self._text += message.get("body", b"")
            if not message.get("more_body", False):
                self.error = self._translate()
            return
        await self._send(message)

    def _translate(self) -> ClasError:
        if self._status == NotFoundError.http_status:
            return NotFoundError(f"there is nothing at {self._path[:80]}; predictions are at {PREDICT_PATH}")
        said = " ".join(self._text.decode(errors="replace").split())[:_SHOWN_CHARACTERS]
        return UnavailableError(f"the cluster has no room for this request now: {said}")


def _is_rays(message: MutableMapping[str, Any]) -> bool:
    """Whether a response is Ray's own: one of these statuses, and not JSON."""
    content_type = Headers(raw=list(message.get("headers", []))).get("Content-Type", "")
    is_error = message["status"] in (*_BUSY, NotFoundError.http_status)
    return is_error and not content_type.startswith("application/json")
