"""Tells a client that has closed its side of the connection, and waits, from one that has gone.

TCP says the same of both, until something is sent: a system whose program has gone refuses it. So an interim
response is sent, which every client of HTTP/1.1 skips (RFC 9110, 15.2).
"""

import asyncio
import select
from typing import Final

_INTERIM: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_POLL_S: Final = 0.1


class HalfClosed:
    """Aborts the connection as soon as its client is known to have gone.

    Args:
        transport: Of the connection, without TLS.
        loop: Runs the timer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._timer = loop.call_later(_POLL_S, self._check)

    def probe(self) -> None:
        """Send the interim response; not while another one is being sent, nor with HTTP/1.0."""
        self._transport.write(_INTERIM)

    def stop(self) -> None:
        """The connection is lost."""
        self._timer.cancel()

    def _check(self) -> None:
        if _was_reset(self._transport.get_extra_info("socket").fileno()):
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(_POLL_S, self._check)


def _was_reset(descriptor: int) -> bool:
    """Whether the peer has refused what was sent; never known where there is no poll."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are always told
    return bool(poll.poll(0))
