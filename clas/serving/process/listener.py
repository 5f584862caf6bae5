"""The socket at which a server listens, and the addresses by which clients reach it."""

import errno
import logging
import os
import socket
from typing import Final

ALL_IPV4: Final = "0.0.0.0"  # noqa: S104  # it is for users to choose
ALL: Final = "::"
"""All addresses of IPv6 and IPv4."""

_LOGGER: Final = logging.getLogger("clas_system")
_BACKLOG: Final = 2048
_WITHOUT_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def listen(host: str, port: int) -> socket.socket:
    """Listen at a TCP port; connections wait until they are served.

    Args:
        host: An address, or a name, of whose addresses one of IPv4 is preferred. ALL becomes ALL_IPV4 on a
            machine without IPv6.
        port: The port; 0 for one that is free.

    Raises:
        OSError: The port is in use, or the address doesn't exist.
    """
    try:
        return _bound(host, port)
    except OSError as exc:
        if host != ALL or exc.errno not in _WITHOUT_IPV6:
            raise
    _LOGGER.info("this machine has no IPv6: %s stands for %s", ALL, ALL_IPV4)
    return _bound(ALL_IPV4, port)


def shown_host(host: str, listener: socket.socket) -> str:
    """Return where a server listens, for its log: `host`, as it was told, or what `listen` made of it."""
    return ALL_IPV4 if host == ALL and listener.family == socket.AF_INET else host


def reachable_host(host: str) -> str:
    """Return an address for clients on this machine: all addresses can be bound, but not opened."""
    return "127.0.0.1" if host in (ALL_IPV4, ALL) else host


def host_and_port(host: str, port: int) -> str:
    """Return an address as URLs have it: one of IPv6 in brackets, a zone's % escaped (RFC 6874)."""
    return f"[{host.replace('%', '%25')}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == ALL:  # whatever the system's default
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)  # now, since only this finds another server that listens
    except OSError:
        listener.close()
        raise
    return listener
