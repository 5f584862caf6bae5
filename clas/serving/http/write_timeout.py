"""Disconnects a client that doesn't take its response in time."""

import asyncio
import contextlib
import logging
import socket
import struct
from typing import Final

_LOGGER: Final = logging.getLogger("clas_system")
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: what the kernel has still to send is discarded, too


class WriteTimeout:
    """Bounds the time from the first byte of a response until all of it is sent and the connection closed.

    A transport that is closed while data waits in its buffer lives until the client reads, for ever if need
    be. There is one timer a connection, which isn't moved by further responses: it looks at them when it is
    over. So a response costs a look at the clock.

    Args:
        transport: Of the connection.
        loop: Runs the timer.
        timeout_s: The bound.

    Attributes:
        is_writing: A response has begun and isn't complete; the protocol says when it is.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, timeout_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._timeout_s = timeout_s
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_lost = False
        self.is_writing = False

    def start(self) -> None:
        """A response begins."""
        self.is_writing = True
        self._since = self._loop.time()
        self.arm()

    def arm(self) -> None:
        """The connection is closed, unless data still waits."""
        if self._timer is None and not self._is_lost:
            self._timer = self._loop.call_later(self._timeout_s, self._check)

    def stop(self) -> None:
        """The connection is lost."""
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        transport = self._transport
        is_waiting = transport.is_closing() or transport.get_write_buffer_size() > 0
        if not (is_waiting or self.is_writing):
            return  # all is sent
        left = self._since + self._timeout_s - self._loop.time()
        if left > 0 or not is_waiting:
            self._timer = self._loop.call_later(left if left > 0 else self._timeout_s, self._check)
            return
        peer = transport.get_extra_info("peername")
        _LOGGER.info("%s didn't take its answer within %g s: disconnected", peer and peer[0], self._timeout_s)
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):  # closed just now
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
