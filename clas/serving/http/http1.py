"""HTTP/1.1 over uvicorn's httptools protocol."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...errors import RequestError
from .head import MAX_HEAD_BYTES, HeadWatcher
from .joined_writes import JoinedWrites
from .responses import failure

_BODY_BYTES: Final = 2**20  # of a body, that wait here for the application
_PART_BYTES: Final = 64  # overhead of each part of a body; parts may be of one byte
_LAST_REQUEST_S: Final = 0.3  # for a request that is on its way on an idle connection when the server stops
_LINGER_S: Final = 2.0  # for a client that is still sending to read why it is refused


class Http1Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with these differences.

    - The head of a request has a time limit and a size limit, its trailer a size limit.
    - `Upgrade` is ignored; httptools would take the body for data of the other protocol.
    - A client that doesn't read its response is disconnected.
    - Invalid HTTP is refused in our envelope.
    - A body up to a certain size reaches the application in one piece.
    - The head of a response is sent with its body.
    - A request that is on its way on an idle connection when the server stops is answered.
    """

    head_timeout_s = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as uvicorn has it
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_last_request = False
        self._head = HeadWatcher()
        self._is_in_body = False
        self._num_parts = 0
        self._trailer_bytes = 0
        self._is_refused = False
        self._parts: list[bytes] = []  # of a body, not handed over yet
        self._parts_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first request's head."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Check what may be a head before the parser sees it."""
        if self._is_refused:
            return
        if self._is_in_body:
            self._receive_body(data)
            return
        self._wait_for_head()
        watched = self._head.feed(data)
        if watched is None:
            self.send_400_response(f"the head of the request has more than {MAX_HEAD_BYTES} bytes")
        elif watched:
            super().data_received(watched)

    def _receive_body(self, data: bytes) -> None:
        """Disconnect a client whose trailer, which the parser collects whole, is too large."""
        parts = self._num_parts
        super().data_received(data)
        is_body = self._num_parts != parts or not self._is_in_body
        self._trailer_bytes = 0 if is_body else self._trailer_bytes + len(data)
        if self._trailer_bytes > MAX_HEAD_BYTES:
            self._is_refused = True
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._is_in_body = True
        self._head.reset()
        self._stop_waiting()
        super().on_headers_complete()
        if self._is_last_request and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head; ignore one of a trailer, of which there may be any number."""
        if not self._is_in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Collect parts, and hand them over together when they are large or complete."""
        self._num_parts += 1
        if self.cycle is None or self.cycle.response_complete:
            return
        self._parts.append(body)
        self._parts_bytes += len(body) + _PART_BYTES
        if self._parts_bytes > _BODY_BYTES:
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
        """Give the application what has come: as bytes, since uvicorn would copy a bytearray."""
        if self.cycle.body:  # the application hasn't read it yet
            self._parts.insert(0, bytes(self.cycle.body))
        self.cycle.body = b"".join(self._parts)  # type: ignore[assignment]
        self._parts.clear()
        self._parts_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse invalid HTTP.

        The kernel resets a connection that is closed with unread data, and the response is lost. So only this
        side is closed at first, and what still comes is discarded for a while.
        """
        self._is_refused = True
        body = failure(RequestError(msg)).body
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self.transport.write(head.encode() + b"\r\nConnection: close\r\n\r\n" + bytes(body))
        if self.transport.can_write_eof():  # not with TLS
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def timeout_keep_alive_handler(self) -> None:
        """The client has sent nothing for a while, or doesn't read its response."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._stop_waiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Answer the request in flight, or one that comes just now, then close."""
        self._is_last_request = True
        if self._is_idle():
            self.loop.call_later(_LAST_REQUEST_S, self._close_if_idle)
        else:
            super().shutdown()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
