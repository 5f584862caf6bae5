"""Which addresses this machine has."""

import socket

import pytest


def has_ipv6() -> bool:
    """Whether a server can listen at ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
