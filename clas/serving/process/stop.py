"""Stops a server from another process."""

import os
import signal
import time
from typing import Final

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
    servers = [server for server in find(port) if host in (None, server.host, server.address)]
    where = f"port {port}" if host is None else f"port {port} of {host}"
    if not servers:
        return False, f"no server of clas_system was started at {where} by this user"
    running = [server for server in servers if server.is_running]
    for server in servers:
        if server not in running:
            forget(server)
    if not running:
        return True, f"the server at {where} was gone already; its files are cleaned up"
    if len(running) > 1:
        hosts = " or ".join(f"--host {server.address}" for server in running)
        return False, f"there are {len(running)} servers at {where}: add {hosts}"
    return _end(running[0], where)


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
