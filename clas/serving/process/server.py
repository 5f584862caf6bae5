"""uvicorn, as this server runs it: alone, or in each worker of a supervisor."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import FrameType
from typing import Any, Final

import uvicorn

from ...errors import UnavailableError
from ..http.http1 import Http1Protocol
from ..models.registry import Models
from ..options import ServerOptions
from ..service import Service
from .control import Control

_LOGGER: Final = logging.getLogger("clas_system")
_HANDSHAKE_S: Final = 60.0  # asyncio's own limit of a TLS handshake
_FAREWELL_S: Final = 0.5
_FAREWELL_POLL_S: Final = 0.02
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
        "proxy_headers": False,  # it would take the client's address from X-Forwarded-For
        "timeout_keep_alive": options.keep_alive_s,
        "timeout_graceful_shutdown": max(
            _CLOSING_S, options.graceful_timeout_s - 2 * _CLOSING_S - _FAREWELL_S
        ),
        "ssl_certfile": options.tls_cert_file or None,
        "ssl_keyfile": options.tls_key_file or None,
    }


class Server(uvicorn.Server):
    """Stops on a signal, when no model can be loaded, or when `should_stop` says so.

    Args:
        config: uvicorn's.
        models: What is served.
        should_stop: Called ten times a second.
        on_stop: Called when it begins to stop.
        watch: Runs beside until then; None for nothing.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        models: Models,
        should_stop: Callable[[], bool],
        on_stop: Callable[[], None] = lambda: None,
        watch: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> None:
        super().__init__(config)
        self._models = models
        self._handshake_s = min(_HANDSHAKE_S, config.http.timeout_s)  # type: ignore[union-attr]
        self._should_stop = should_stop
        self._on_stop = on_stop
        self._watch = watch
        self._watching: asyncio.Task[None] | None = None
        self._interrupts = 0

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
        if self._watch:
            self._watching = asyncio.create_task(self._watch())

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; tells whether to stop."""
        is_over = await super().on_tick(counter)
        return self._should_stop() or self._models.has_failed or StopSignals.received or is_over

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn on a signal; a second Ctrl-C closes the connections at once.

        uvicorn takes a Ctrl-C after any signal for the second one. But the first one reaches this process
        twice: from the terminal, and as SIGTERM from the parent, in either order.
        """
        self._interrupts += sig == signal.SIGINT
        is_other = sig == signal.SIGINT and self._interrupts == 1
        super().handle_exit(signal.SIGTERM if is_other else sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn to answer the requests in flight, and to end.

        uvicorn would close at once what is idle, and with it a connection whose request is on its way. So
        clients are told with a last answer, for a moment, that they need another connection.
        """
        self._on_stop()
        if self._watching:
            self._watching.cancel()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        deadline = time.monotonic() + _FAREWELL_S
        while (  # noqa: ASYNC110  # uvicorn has no event for it
            self.server_state.connections and time.monotonic() < deadline and not self.force_exit
        ):
            await asyncio.sleep(_FAREWELL_POLL_S)
        await super().shutdown(sockets)


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


class _Report:
    """Tells the parent how a process is.

    Args:
        service: What it serves.
        control: To the parent.
        on_ready: Called once, when the models serve.
    """

    def __init__(self, service: Service, control: Control, on_ready: Callable[[], None]) -> None:
        self._service = service
        self._control = control
        self._on_ready = on_ready
        self._was_ready = False

    def __call__(self) -> bool:
        """Tell how it is now; returns whether the parent was killed."""
        models = self._service.models
        if not self._was_ready and not (models.is_loading or models.has_failed):
            self._was_ready = True
            self._control.ready()
            self._on_ready()
        try:
            self._service.check_health()
        except UnavailableError:
            pass  # without heartbeats, the parent replaces this process
        else:
            self._control.beat()
        return self._control.is_orphaned


def serve_alone(
    service: Service, listeners: list[socket.socket], control: Control, on_ready: Callable[[], None]
) -> int:
    """Serve in this process until SIGTERM or SIGINT.

    Args:
        service: What to serve.
        listeners: Where to listen.
        control: To the parent.
        on_ready: Called once, when the models serve.

    Returns:
        The exit status: 1 if no model can be loaded.
    """
    if control.takes_over:  # meanwhile another process accepts connections
        service.models.load(lambda: StopSignals.received)
    config = uvicorn.Config(service.app, **uvicorn_options(service.options))
    if not service.models.has_failed and not StopSignals.received:
        report = _Report(service, control, on_ready)
        Server(config, service.models, report, control.stopping, service.watch).run(sockets=listeners)
    status = int(service.models.has_failed)
    exit_unless_idle(service, status, "stopped")
    return status


def exit_unless_idle(service: Service, status: int, last_words: str = "") -> None:
    """Exit at once, after some last words for the log, if a thread is still busy.

    Python would wait for it, or crash.
    """
    if not service.models.close(_CLOSING_S) or not service.decoders.is_idle:
        if last_words:
            _LOGGER.info("%s", last_words)
        logging.shutdown()
        os._exit(status)
