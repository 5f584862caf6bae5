"""The server's own socket, in its directory for temporary files, which its user alone can open.

It takes the same requests as the port, without a token: `clas-serving reload` and `status` send them.
"""

import http.client
import json
import logging
import socket
import ssl
from pathlib import Path
from typing import Any, Final

from ...errors import UnavailableError
from .pidfile import RunningServer

_NAME: Final = "control.sock"

_LOGGER: Final = logging.getLogger("clas_system")
_BACKLOG: Final = 16


def open_socket(directory: Path) -> socket.socket | None:
    """Listen in a directory; None, and a line in the log, where that is impossible."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(directory / _NAME))
        listener.listen(_BACKLOG)
    except OSError as exc:  # such as a path that is too long
        listener.close()
        _LOGGER.warning("`clas-serving reload` and `status` won't reach this server: %s", exc)
        return None
    return listener


def ask(server: RunningServer, method: str, path: str, timeout_s: float) -> tuple[int, Any]:
    """Send a request without a body to a server of this user.

    Args:
        server: The server.
        method: The method.
        path: The path.
        timeout_s: How long to wait for the answer.

    Returns:
        The status code, and the JSON of the answer.

    Raises:
        UnavailableError: The server can't be reached.
    """
    connection = _Connection(server, timeout_s)
    try:
        connection.request(method, path, headers={"Content-Length": "0"} if method == "POST" else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, ValueError, http.client.HTTPException) as exc:
        raise UnavailableError(f"process {server.pid} can't be asked: {exc or type(exc).__name__}") from exc
    finally:
        connection.close()


def tls_on_this_machine() -> ssl.SSLContext:
    """Return a context that takes any certificate: that of a server here is for other names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Connection(http.client.HTTPConnection):
    """A connection to a server's own socket."""

    def __init__(self, server: RunningServer, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._server = server

    def connect(self) -> None:
        """Connect; the directory's permissions say who is there, so that no certificate need do so."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(Path(self._server.scratch) / _NAME))
        if self._server.tls:  # as at its port
            self.sock = tls_on_this_machine().wrap_socket(self.sock)
