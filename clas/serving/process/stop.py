"""Finds a server from another process, and stops it."""

import os
import signal
import time
from typing import Final

from ...errors import UnavailableError
from .pidfile import RunningServer, find, forget

_POLL_S: Final = 0.05
_SLACK_S: Final = 5.0


def stop(port: int, host: str | None = None) -> tuple[bool, str]:
    """Stop the server at a port, and wait until it has ended.

    Args:
        port: Its port.
        host: Its address; None for the only one.

    Returns:
        Whether none is left there, and a sentence that says so.
    """
    where = _where(port, host)
    try:
        return _end(find_running(port, host), where)
    except GoneError as exc:
        return True, str(exc)
    except UnavailableError as exc:
        return False, str(exc)


class GoneError(UnavailableError):
    """Raised when a server has ended without having been stopped."""


def find_running(port: int, host: str | None = None) -> RunningServer:
    """Find the server at a port; what is left of those that are gone is cleaned up.

    Args:
        port: Its port.
        host: Its address; None for the only one.

    Raises:
        GoneError: There was one, and it has ended.
        UnavailableError: There is none, or there are several.
    """
    servers = find(port, host)
    where = _where(port, host)
    if not servers:
        raise UnavailableError(f"no server of clas_system was started at {where} by this user")
    running = [server for server in servers if server.is_running]
    for server in servers:
        if server not in running:
            forget(server)
    if not running:
        raise GoneError(f"the server at {where} was gone already; its files are cleaned up")
    if len(running) > 1:
        hosts = " or ".join(f"--host {server.address}" for server in running)
        raise UnavailableError(f"there are {len(running)} servers at {where}: add {hosts}")
    return running[0]


def _where(port: int, host: str | None) -> str:
    return f"port {port}" if host is None else f"port {port} of {host}"


def _end(server: RunningServer, where: str) -> tuple[bool, str]:
    try:
        os.kill(server.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False, f"process {server.pid} at {where} belongs to another user"
    wait_s = server.graceful_timeout_s + _SLACK_S
    deadline = time.monotonic() + wait_s
    while server.is_running:
        if time.monotonic() > deadline:
            return False, f"process {server.pid} at {where} has not ended within {wait_s:g} s"
        time.sleep(_POLL_S)
    forget(server)  # if it had no time to do so itself
    return True, f"the server at {where} has stopped"
