"""Asks a running server on this machine whether it is well, at the address where its clients reach it."""

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final

from .listener import reachable_host
from .local_socket import tls_on_this_machine
from .pidfile import RunningServer

_TIMEOUT_S: Final = 4.0
_OK: Final = 200


def health_of(server: RunningServer) -> tuple[bool, str]:
    """Return whether a server is live, and that in words, with whether it is ready."""
    connection = _connection_to(server)
    try:
        is_live, reason = _ask(connection, "/health/live")
        if not is_live:
            return False, f"not live: {reason}"
        is_ready, reason = _ask(connection, "/health/ready")
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as exc:
        return False, f"no answer: {str(exc) or type(exc).__name__}"
    finally:
        connection.close()
    return True, "ready" if is_ready else f"not ready: {reason}"


def _connection_to(server: RunningServer) -> HTTPConnection:
    # Only the name as it was told has the zone of an address of one link.
    host = server.host if "%" in server.host else reachable_host(server.address)
    if not server.tls:
        return HTTPConnection(host, server.port, timeout=_TIMEOUT_S)
    # Nothing secret is sent.
    return HTTPSConnection(host, server.port, timeout=_TIMEOUT_S, context=tls_on_this_machine())


def _ask(connection: HTTPConnection, path: str) -> tuple[bool, str]:
    """Return whether a health check is passed, and else why not."""
    connection.request("GET", path)
    response = connection.getresponse()
    answer = json.loads(response.read())
    return (True, "") if response.status == _OK else (False, answer["msg"])
