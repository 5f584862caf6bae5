"""What a connection sends: the responses, in order, in time, and to the end."""

import asyncio
from collections import deque
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ...errors import RequestError
from .half_close import HalfClosed
from .joined_writes import JoinedWrites
from .responses import failure
from .write_timeout import WriteTimeout

_LAST_REQUEST_S: Final = 0.3  # for a request that is on its way on an idle connection when the server stops
_LINGER_S: Final = 2.0  # for a client that is still sending to read why it is refused
_WRITE_BYTES: Final = 65_536  # that wait in the transport before writing is paused; TLS would have 512 KiB


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with these differences in what it sends.

    - The head of a response is sent with its body.
    - A client that doesn't take its response in time is disconnected.
    - A client that has closed its side of the connection after its request is answered.
    - Invalid HTTP is refused in our envelope, after the requests before it are answered.
    - A request that is on its way on an idle connection when the server stops is answered.

    Attributes:
        refusal: Why no more requests are read; None while they are.
        is_last_request: The server stops.
        cycles: The requests that aren't answered yet; uvicorn itself knows the last one only.
    """

    timeout_s = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as uvicorn has it
        super().__init__(*args, **kwargs)
        self.refusal: RequestError | None = None
        self.is_last_request = False
        self.cycles: deque[RequestResponseCycle] = deque()
        self._half_closed: HalfClosed | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client has connected."""
        self._write_timeout = WriteTimeout(transport, self.loop, self.timeout_s)
        super().connection_made(JoinedWrites(transport, self.loop, self._write_timeout))  # type: ignore[arg-type]
        if self.scheme == "https":
            transport.set_write_buffer_limits(_WRITE_BYTES)

    def on_response_complete(self) -> None:
        """A response is complete; the next one, or a refusal, may follow."""
        self.cycles.popleft()
        self._write_timeout.is_writing = False
        super().on_response_complete()
        if self.refusal is not None and self.is_idle():
            self._send_refusal()

    def send_400_response(self, msg: str) -> None:
        """Refuse invalid HTTP; called by uvicorn when the parser stops."""
        if self.refusal is None:
            self.refuse(RequestError(msg))

    def refuse(self, error: RequestError) -> None:
        """Read no more requests, and say why, once those before are answered."""
        self.refusal = error
        if self.is_idle():
            self._send_refusal()
        elif self.cycle.more_body and len(self.cycles) == 1:
            has_started = self.cycle.response_started
            self._end_cycles()
            if has_started:
                self.transport.close()
            else:
                self._send_refusal()

    def _send_refusal(self) -> None:
        """Say why the request is refused.

        The kernel resets a connection that is closed with unread data, and the response is lost. So only this
        side is closed at first, and what still comes is discarded for a while.
        """
        if self.refusal is None or self.transport.is_closing():
            return
        response = failure(self.refusal)
        status = STATUS_LINE[response.status_code]
        head = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        self.transport.write(status + head % len(response.body) + bytes(response.body))
        if self.transport.can_write_eof():  # not with TLS
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has closed its side: stay open if it has a complete request to be answered."""
        is_answered = self.is_idle() or self.cycle.more_body or self.cycle.disconnected
        if is_answered or self.scheme == "https":  # TLS can't be closed on one side
            self.transport.close()
            return False
        self.cycle.keep_alive = False
        self._half_closed = HalfClosed(self.transport, self.loop)
        is_next = len(self.cycles) == 1 and not self.cycle.response_started
        if is_next and self.cycle.scope["http_version"] != "1.0":
            self._half_closed.probe()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._write_timeout.stop()
        if self._half_closed is not None:
            self._half_closed.stop()
        self._end_cycles()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Answer the request in flight, or one that comes just now, then close."""
        self.is_last_request = True
        if self.is_idle():
            self.loop.call_later(_LAST_REQUEST_S, self._close_if_idle)
        else:
            super().shutdown()

    def _end_cycles(self) -> None:
        """Tell the application that no request is to be answered any more."""
        for cycle in self.cycles:
            cycle.disconnected = True
            cycle.message_event.set()

    def is_idle(self) -> bool:
        """Whether all requests are answered."""
        return not self.cycles

    def _close_if_idle(self) -> None:
        if self.is_idle() and not self.transport.is_closing():
            self.transport.close()
