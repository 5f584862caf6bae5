"""What Ray's own proxy refuses, in our envelope."""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import ClasError, NotFoundError, UnavailableError
from ..http.middleware import PREDICT_PATH
from ..http.responses import refusal

_OWN_PATHS: Final = "/-/"  # of the proxy: whether it is well, and where it routes to
_BUSY: Final = (408, 429, 503)
_SHOWN_CHARACTERS: Final = 200


class Envelope:
    """ASGI middleware around Ray's proxy.

    Ray answers with plain text: that there are too many requests, no replica, or nothing at a path. When a
    replica has died, it gives no answer at all. All of these become the envelope, so that a client reads one
    kind of answer, and sends again what another replica can answer.

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
        answer = _Answer(scope["path"], send)
        await self._app(scope, receive, answer.send)
        if answer.refusal is None and not answer.has_started:
            answer.refusal = UnavailableError("the replica that had this request is gone: send it again")
        if answer.refusal is not None:
            await refusal(answer.refusal)(scope, receive, send)


class _Answer:
    """Passes on what comes from a replica, and holds back what Ray itself says."""

    def __init__(self, path: str, send: Send) -> None:
        self.has_started = False
        self.refusal: ClasError | None = None
        self._path = path
        self._send = send
        self._status = 0
        self._text = bytearray()

    async def send(self, message: Message) -> None:
        """The next part of the answer."""
        if message["type"] == "http.response.start":
            self.has_started = True
            if _is_rays(message):
                self._status = message["status"]
                return
        if self._status:
            self._text += message.get("body", b"")
            if not message.get("more_body", False):
                self.refusal = self._translate()
            return
        await self._send(message)

    def _translate(self) -> ClasError:
        if self._status == NotFoundError.http_status:
            return NotFoundError(f"there is nothing at {self._path[:80]}; predictions are at {PREDICT_PATH}")
        said = " ".join(self._text.decode(errors="replace").split())[:_SHOWN_CHARACTERS]
        return UnavailableError(f"the cluster has no room for this request now: {said}")


def _is_rays(message: MutableMapping[str, Any]) -> bool:
    """Whether an answer is Ray's own: of these statuses, and not in JSON as all of ours are."""
    content_type = Headers(raw=list(message.get("headers", []))).get("Content-Type", "")
    is_refusal = message["status"] in (*_BUSY, NotFoundError.http_status)
    return is_refusal and not content_type.startswith("application/json")
