"""Connections on which a whole request, and its whole answer, each have one deadline.

A socket's timeout counts anew for each read, so that a server which sends a byte now and then is never late.
"""

import http.client
import io
import socket
import time
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_TLS_RECORD: Final = 2**14  # bytes, by RFC 8446; one is sent by one call of the socket


class _Deadline:
    """The time by which a socket has to be done, from its timeout when this is made."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        timeout_s = sock.gettimeout()
        self._end_s = None if timeout_s is None else time.monotonic() + timeout_s

    def limit(self) -> None:
        """Limit the socket's next call to what is left.

        Raises:
            TimeoutError: Nothing is left.
        """
        if self._end_s is None:
            return
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left_s)


class _Reader(io.RawIOBase):
    """Reads what a socket receives until a deadline.

    Args:
        raw: The socket as a file; it keeps the socket open until it is closed itself.
        sock: The socket.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._deadline = _Deadline(sock)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  # io has no public name for a buffer
        self._deadline.limit()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose head and body are read until a deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # http.client's
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _TLSConnection(HTTPSConnection):
    response_class = _Response

    def send(self, data: Any) -> None:  # noqa: ANN401  # http.client's
        """Send bytes record by record: over TLS, `sendall` counts its timeout anew for each of them."""
        if not isinstance(data, bytes) or self.sock is None:
            super().send(data)
            return
        deadline = _Deadline(self.sock)
        view = memoryview(data)
        for start in range(0, len(data), _TLS_RECORD):
            deadline.limit()
            super().send(view[start : start + _TLS_RECORD])


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS: Final = {"http": _Pool, "https": _TLSPool}


class DeadlineAdapter(HTTPAdapter):
    """Makes these connections: the `timeout` is for connecting, sending and the answer, each as a whole.

    Connections through a SOCKS proxy have urllib3's timeouts.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # requests'
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401  # requests'
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager
