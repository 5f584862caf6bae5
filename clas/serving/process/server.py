"""uvicorn, as this server runs it: alone, or in each worker of a supervisor."""

import asyncio
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...errors import RequestError
from ..batching.pool import Engine
from ..http.responses import refusal
from ..options import ServerOptions

DECODER: Final = "decoder"
"""How the names of the threads begin that decode requests."""

_KEEP_ALIVE_S: Final = 60
_BACKLOG: Final = 2048
_MAX_HEAD_BYTES: Final = 65_536
_BODY_BYTES: Final = 2**20  # of a body, that wait here for the application to take them
_PART_BYTES: Final = 64  # that each part of a body takes besides its own; they may be of one byte each
_CONTINUE: Final = b"HTTP/1.1 100"
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_LAST_REQUEST_S: Final = 0.3  # for a request to an idle connection that is on its way when the server stops
_LINGER_S: Final = 2.0  # for a client that is still sending to read why it is refused
_CLOSING_S: Final = 1.0  # of graceful_timeout_s, for what is to be done when the connections are closed


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn has it, with some differences.

    - The head of a request has a bound on its time and its size, before anything is done with it.
    - A wish to upgrade to another protocol is ignored; httptools would take the body for that protocol.
    - A client that doesn't read its answer is cut off.
    - What isn't HTTP is refused in our envelope.
    - A body up to a certain size comes to the application in one piece.
    - The head of an answer goes with its body.
    - A request that is on its way on an idle connection when the server stops is answered.
    """

    head_timeout_s = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as uvicorn has it
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_last_request = False
        self._head_bytes = 0
        self._is_in_body = False
        self._is_refused = False
        self._parts: list[bytes] = []  # of a body, that the application hasn't been given yet
        self._parts_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(_HeadWithBody(transport, self.loop))  # type: ignore[arg-type]
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Look at what may be a head before the parser does."""
        if self._is_refused:
            return
        if not self._is_in_body:
            self._wait_for_head()
            end = data.find(b"\r\n\r\n") + 1 or len(data)
            self._head_bytes += end
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.send_400_response(f"the head of the request has more than {_MAX_HEAD_BYTES} bytes")
                return
            if _UPGRADE.search(data, 0, end):  # else, what may be much isn't copied
                data = _UPGRADE.sub(b"\r\nx-ignored:", data[:end]) + data[end:]
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._is_in_body = True
        self._head_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()
        if self._is_last_request and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head; or of a trailer, which nobody wants, and which has no bound."""
        if not self._is_in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Hand on what has come when it is much, or all of it, not each part for itself."""
        if self.cycle is None or self.cycle.response_complete:
            return
        self._parts.append(body)
        self._parts_bytes += len(body) + _PART_BYTES
        if self._parts_bytes > _BODY_BYTES:
            self._hand_on()
            self.flow.pause_reading()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """What comes now is a head again."""
        self._is_in_body = False
        if self.cycle is not None:
            self._hand_on()
        super().on_message_complete()

    def _hand_on(self) -> None:
        """Give the application what has come: as bytes, of which uvicorn makes no copy as of a bytearray."""
        if self.cycle.body:  # not taken yet
            self._parts.insert(0, bytes(self.cycle.body))
        self.cycle.body = b"".join(self._parts)  # type: ignore[assignment]
        self._parts.clear()
        self._parts_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse what isn't HTTP.

        The kernel resets a connection that is closed before all that came was read, and what was sent is lost
        then. So the end is told, and what still comes is thrown away for a while.
        """
        self._is_refused = True
        body = refusal(RequestError(msg)).body
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self.transport.write(head.encode() + b"\r\nConnection: close\r\n\r\n" + bytes(body))
        if self.transport.can_write_eof():  # not with TLS
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def timeout_keep_alive_handler(self) -> None:
        """The client has sent nothing for a while; or it doesn't read what it was sent."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has hung up."""
        self._stop_waiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Answer what has come, or comes just now, then close."""
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


class _HeadWithBody:
    """A transport that sends the head of an answer with the first part of its body.

    uvicorn writes them one after the other, and each would be a packet that wakes the client.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Send this, or keep it until the next part comes, or until nothing else is to be done."""
        if not self._held and data.startswith(b"HTTP/1.1 ") and not data.startswith(_CONTINUE):
            self._held = data
            self._loop.call_soon(self._flush)
            return
        held, self._held = self._held, b""
        self._transport.write(held + data)

    def write_eof(self) -> None:
        """Send what is kept, and tell that it was the last."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is kept, and end the connection."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever it is
        return getattr(self._transport, name)

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)


def uvicorn_options(options: ServerOptions) -> dict[str, Any]:
    """Keyword arguments of uvicorn.Config, but for the application."""
    return {
        "loop": "auto",  # uvloop, but on Windows
        "http": type("BoundProtocol", (Protocol,), {"head_timeout_s": options.timeout_s}),
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "timeout_graceful_shutdown": max(_CLOSING_S, options.graceful_timeout_s - 2 * _CLOSING_S),
        "ssl_certfile": options.tls_cert_file or None,
        "ssl_keyfile": options.tls_key_file or None,
    }


class Server(uvicorn.Server):
    """Ends when it is told to, when the model can't be loaded, or when `on_tick` says so.

    Args:
        config: That of uvicorn.
        engine: The model.
        on_tick: Called ten times a second; tells whether to end.
    """

    def __init__(
        self, config: uvicorn.Config, engine: Engine, on_tick: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self._on_tick = on_tick

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        is_over = await super().on_tick(counter)
        return self._on_tick() or self._engine.has_failed or StopSignals.came or is_over


class StopSignals:
    """SIGTERM and SIGINT ask for a graceful end, and never end the process at once.

    uvicorn takes both while it serves, and raises them again when it is done: the process would end by the
    signal then, not with 0.
    """

    came = False

    @classmethod
    def heed(cls) -> None:
        """Take both signals, from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, cls._note)

    @classmethod
    def _note(cls, *_: object) -> None:
        cls.came = True


def bind(host: str, port: int) -> socket.socket:
    """Listen at a TCP port; what connects waits until it is served.

    Raises:
        OSError: It is taken, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # now, since only this tells of another server that does
    except OSError:
        listener.close()
        raise
    return listener


def serve_alone(app: Starlette, engine: Engine, options: ServerOptions, listener: socket.socket) -> int:
    """Serve in this process until SIGTERM or SIGINT.

    Returns:
        The exit status: 1 if the model can't be loaded.
    """
    StopSignals.heed()
    config = uvicorn.Config(app, **uvicorn_options(options))
    Server(config, engine).run(sockets=[listener])
    status = int(engine.has_failed)
    leave_unless_ended(engine, status)
    return status


def leave_unless_ended(engine: Engine, status: int) -> None:
    """End the process at once if a thread is still at work: Python would wait for it, or crash."""
    is_decoding = any(thread.name.startswith(DECODER) for thread in threading.enumerate())
    if not engine.close(_CLOSING_S) or is_decoding:
        logging.shutdown()
        os._exit(status)
