"""uvicorn, as this server runs it: alone, or in each worker of a supervisor."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import uvicorn

from ..batching.pool import Pool
from ..http.http1 import Http1Protocol
from ..options import ServerOptions
from ..service import Service

_KEEP_ALIVE_S: Final = 60
_BACKLOG: Final = 2048
_HANDSHAKE_S: Final = 60.0  # asyncio's own limit of a TLS handshake
_CLOSING_S: Final = 1.0  # part of graceful_timeout_s, for what is left when the connections are closed


def uvicorn_options(options: ServerOptions) -> dict[str, Any]:
    """Return the keyword arguments of uvicorn.Config, except the application."""
    return {
        "loop": "auto",  # uvloop, except on Windows
        "http": type("BoundProtocol", (Http1Protocol,), {"timeout_s": options.timeout_s}),
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
    """Stops on a signal, when the model can't be loaded, or when `should_stop` says so.

    Args:
        config: uvicorn's.
        pool: The predictors.
        should_stop: Called ten times a second.
    """

    def __init__(
        self, config: uvicorn.Config, pool: Pool, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(config)
        self._pool = pool
        self._handshake_s = min(_HANDSHAKE_S, config.http.timeout_s)  # type: ignore[union-attr]
        self._should_stop = should_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, with a time limit for TLS handshakes, for which uvicorn has no option."""
        loop: Any = asyncio.get_running_loop()
        create_server = loop.create_server
        if self.config.is_ssl:
            loop.create_server = partial(create_server, ssl_handshake_timeout=self._handshake_s)
        try:
            await super().startup(sockets)
        finally:
            loop.create_server = create_server

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; tells whether to stop."""
        is_over = await super().on_tick(counter)
        return self._should_stop() or self._pool.has_failed or StopSignals.received or is_over


class StopSignals:
    """SIGTERM and SIGINT ask for a graceful stop, and never end the process at once.

    uvicorn handles both while it serves, and raises them again afterwards, so that the process would end by
    the signal rather than with status 0.
    """

    received = False

    @classmethod
    def install(cls, *others: signal.Signals) -> None:
        """Handle both signals, and any others, from now on."""
        for number in (signal.SIGTERM, signal.SIGINT, *others):
            signal.signal(number, cls._on_signal)

    @classmethod
    def _on_signal(cls, *_: object) -> None:
        cls.received = True


def bind(host: str, port: int) -> socket.socket:
    """Listen at a TCP port; connections wait until they are served.

    Raises:
        OSError: The port is in use, or the address doesn't exist.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # now, since only this finds another server that listens
    except OSError:
        listener.close()
        raise
    return listener


def serve_alone(service: Service, listener: socket.socket) -> int:
    """Serve in this process until SIGTERM or SIGINT.

    Returns:
        The exit status: 1 if the model can't be loaded.
    """
    StopSignals.install()
    config = uvicorn.Config(service.app, **uvicorn_options(service.options))
    Server(config, service.pool).run(sockets=[listener])
    status = int(service.pool.has_failed)
    exit_unless_idle(service, status)
    return status


def exit_unless_idle(service: Service, status: int) -> None:
    """Exit at once if a thread is still busy: Python would wait for it, or crash."""
    if not service.pool.close(_CLOSING_S) or not service.decoders.is_idle:
        logging.shutdown()
        os._exit(status)
