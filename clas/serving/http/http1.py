"""What a connection receives: heads and bodies of requests, within their limits."""

import asyncio
import time
from typing import Any

from ...errors import RequestError
from .body_parts import BodyParts
from .connection import Connection
from .deadline import BEGAN
from .head import MAX_HEAD_BYTES, HeadWatcher, check_fields
from .responses import LINGER_BYTES


class Http1Protocol(Connection):
    """uvicorn's protocol, with these differences in what it receives.

    - The head of a request has a time limit and a size limit, its trailer a size limit.
    - A head without one Host, or with another transfer coding than chunked, is refused.
    - `Upgrade` is ignored; httptools would take the body for data of the other protocol.
    - A body up to a certain size reaches the application in one piece.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as uvicorn has it
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head = HeadWatcher()
        self._began = 0.0  # the request whose head is being received; 0: none
        self._is_in_body = False
        self._parts = BodyParts()
        self._trailer_bytes = 0
        self._refused_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request's head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Check what may be a head before the parser sees it."""
        if self.refusal is not None:
            self._refused_bytes += len(data)
            if self._refused_bytes > LINGER_BYTES:
                self.transport.close()
            return
        if self._is_in_body:
            self._receive_body(data)
            return
        if not self._began:
            self._began = time.monotonic()
        self._wait_for_head()
        watched = self._head.feed(data)
        if watched is None:
            self.refuse(RequestError(f"the head of the request has more than {MAX_HEAD_BYTES} bytes"))
        elif watched:
            super().data_received(watched)

    def _receive_body(self, data: bytes) -> None:
        """Disconnect a client whose trailer, which the parser collects whole, is too large."""
        parts = self._parts.count
        super().data_received(data)
        is_body = self._parts.count != parts or not self._is_in_body
        self._trailer_bytes = 0 if is_body else self._trailer_bytes + len(data)
        if self._trailer_bytes > MAX_HEAD_BYTES:
            self.refusal = RequestError(f"the trailer has more than {MAX_HEAD_BYTES} bytes")
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head.reset()
        self._stop_waiting()
        began, self._began = self._began, 0.0
        try:
            check_fields(self.headers, self.parser.get_http_version())
        except RequestError as exc:  # the parser stops at any exception, and doesn't say which
            self.refuse(exc)
            raise
        if began and self.is_idle():  # else it waits for its turn
            self.scope[BEGAN] = began  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self._is_in_body = True
        self.cycles.append(self.cycle)
        if self.is_last_request:
            self.cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head; ignore one of a trailer, of which there may be any number."""
        if not self._is_in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Collect parts, and hand them over together when they are large or complete."""
        self._parts.count += 1
        if self.cycle is None or self.cycle.response_complete:
            return
        if self._parts.add(body):
            self._hand_over()
            self.flow.pause_reading()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is complete; a head follows."""
        self._is_in_body = False
        if self.cycle is not None:
            self._hand_over()
        super().on_message_complete()

    def _hand_over(self) -> None:
        """Give the application what has come, with what it hasn't read yet."""
        self.cycle.body = self._parts.take(self.cycle.body)  # type: ignore[assignment]

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has closed its side: no further head comes."""
        self._stop_waiting()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.timeout_s, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
