"""uvicorn, as this server runs it: alone, or in each worker of a supervisor."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .engine import Engine
from .options import ServerOptions

_KEEP_ALIVE_S: Final = 60
_LAST_REQUEST_S: Final = 0.3  # for a request to an idle connection that is on its way when the server stops
_CLOSING_S: Final = 1.0  # of graceful_timeout_s, for what is to be done when the connections are closed


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 with a bound on the time that the head of a request may take, and a more patient end.

    uvicorn closes idle connections at once when it stops; a request that is on its way then would be lost.
    """

    head_timeout_s = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as uvicorn has it
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_last_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the head."""
        super().on_message_begin()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_waiting()
        super().on_headers_complete()
        if self._is_last_request and self.cycle is not None:
            self.cycle.keep_alive = False

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
    """Ends when it is told to, when the model can't be loaded, or when `is_over` says so.

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
    """Take a TCP port, without listening yet.

    Raises:
        OSError: It is taken, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
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
    """End the process at once if the predictor's owner is stuck: Python would crash or wait for it."""
    if not engine.close(_CLOSING_S):
        logging.shutdown()
        os._exit(status)
