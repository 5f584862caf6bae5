"""ASGI middleware: request ID, authentication, error responses, access log, metrics."""

import asyncio
import logging
import os
import re
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import ClasError, PredictionError, UnavailableError
from ..log import REQUEST_ID
from ..metrics import Metrics
from ..models.registry import Models
from .auth import Guard
from .outbox import PIECE_BYTES, Outbox
from .prefix import without_slash
from .responses import LINGER_BYTES, failure
from .target import Target, target_of

REQUEST_ID_HEADER: Final = "X-Request-ID"

_LOGGER: Final = logging.getLogger("clas_system")
_OK: Final = 200
_GONE: Final = 499  # nginx' code for a client that disconnected
_SHOWN_CHARACTERS: Final = 500
_LINGER_S: Final = 10.0
_VALID_ID: Final = re.compile(r"[\w.:-]{1,64}", re.ASCII)


class RequestMiddleware:
    """The outermost middleware, but for those that only some servers have.

    Args:
        app: Answers the requests.
        models: Those that requests may name.
        metrics: Where requests are counted.
        guard: Checks who may ask for what.
        outbox: Sends large responses.
    """

    def __init__(self, app: ASGIApp, models: Models, metrics: Metrics, guard: Guard, outbox: Outbox) -> None:
        self._app = app
        self._models = models
        self._metrics = metrics
        self._guard = guard
        self._outbox = outbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].endswith("/") and scope["path"] != "/":
            scope = without_slash(scope)
        path = scope["path"]
        start = time.perf_counter()
        sent_id = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = sent_id if _VALID_ID.fullmatch(sent_id) else os.urandom(16).hex()
        reset = REQUEST_ID.set(request_id)
        exchange = _Exchange(scope, receive, send, request_id, self._outbox)
        try:
            await self._answer(scope, exchange)
        except ClientDisconnect:
            exchange.status = _GONE
        finally:
            seconds = time.perf_counter() - start
            target = target_of(path, self._models)
            self._count(target, exchange.status, seconds)
            level = logging.INFO if target.is_prediction else logging.DEBUG
            shown = _in_one_line(path)
            line = f"{scope['method']} {shown} {exchange.status} {seconds:.3f} s{exchange.reason}"
            _LOGGER.log(level, "%s", line)
            REQUEST_ID.reset(reset)

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            self._guard.check(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except ClasError as exc:
            if isinstance(exc, PredictionError):
                _LOGGER.exception("the model failed")
            await exchange.fail(exc)
        except asyncio.CancelledError:  # by uvicorn, after graceful_timeout_s
            await exchange.fail(UnavailableError("the server is stopping"))
        except ClientDisconnect:
            raise
        except Exception:
            _LOGGER.exception("this request failed for an unknown reason")
            unknown = "the server failed; its log has the reason, under this request's X-Request-ID"
            await exchange.fail(ClasError(unknown))
            if not exchange.is_complete:
                raise  # too late for another response: uvicorn cuts this one off

    def _count(self, target: Target, status: int, seconds: float) -> None:
        self._metrics.requests.labels(target.label, str(status), target.model).inc()
        if target.is_prediction:
            metrics = self._models[target.model].metrics
            metrics.latency.observe(seconds)
            if status == _OK:
                metrics.last_prediction.set_to_current_time()
            else:
                metrics.failed_time.observe(seconds)


def _in_one_line(text: str) -> str:
    """Escape a text of the client for the log."""
    return text[:_SHOWN_CHARACTERS].encode("unicode_escape").decode()


class _Exchange:
    """One request and its response.

    A client that is still sending doesn't read an early response, and loses it if the connection is closed
    then. So the response is sent at once, and the rest of the body is discarded for a while.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str, outbox: Outbox) -> None:
        headers = Headers(scope=scope)
        self.status = _GONE
        self._scope = scope
        self.is_complete = False
        self.reason = ""
        self._start: Message | None = None  # held back until the body begins
        self._has_started = False
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._outbox = outbox
        self._has_body_left = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers

    async def receive(self) -> Message:
        """Receive the next part of the request."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._has_body_left = False
        return message

    async def send(self, message: Message) -> None:
        """Send the next part of the response."""
        if message["type"] == "http.response.start":
            self._start = message
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self._request_id
            if self._has_body_left:
                headers["Connection"] = "close"
            return
        if self._has_body_left and not message.get("more_body", False):
            await self._pass_on({**message, "more_body": True})
            await self._discard()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._pass_on(message)
        self.is_complete = not message.get("more_body", False)

    async def fail(self, exc: ClasError) -> None:
        """Send an error response, unless another response has begun."""
        if not self._has_started:
            self._start = None
            self.reason = f": {_in_one_line(str(exc))}"
            await failure(exc, self._scope["path"])(self._scope, self.receive, self.send)

    async def _pass_on(self, message: Message) -> None:
        """Send a part of the body, and the head before the first one: it may have to wait, too."""
        start, self._start = self._start, None
        self._has_started = True
        if len(message.get("body", b"")) > PIECE_BYTES:
            await self._outbox.send(self._send, start, message)
            return
        if start is not None:
            await self._send(start)
        await self._send(message)

    async def _discard(self) -> None:
        deadline = time.monotonic() + _LINGER_S
        discarded = 0
        while self._has_body_left and discarded <= LINGER_BYTES:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            try:
                message = await asyncio.wait_for(self.receive(), left)
            except asyncio.TimeoutError:
                return
            discarded += len(message.get("body", b""))
