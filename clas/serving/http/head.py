"""Watches the head of a request while it is received, before the parser sees it."""

import re
from typing import Final

MAX_HEAD_BYTES: Final = 65_536

_END: Final = b"\r\n\r\n"
_UPGRADE: Final = b"\r\nupgrade:"
_UPGRADES: Final = re.compile(re.escape(_UPGRADE), re.IGNORECASE)
_IGNORED: Final = b"\r\nx-ignored:"


class HeadWatcher:
    """Limits the size of a head, and hides its header `Upgrade`, however it is split over reads.

    httptools would take the body of a request with `Upgrade` for data of the other protocol.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start with the head of the next request."""
        self._num_bytes = 0
        self._tail = b""  # the last bytes that were passed on, in which the end of the head may have begun
        self._held = b""  # not passed on yet, since `Upgrade` may have begun in them

    def feed(self, data: bytes) -> bytes | None:
        """Take what was read, which may go beyond the head.

        Returns:
            What the parser is to get now; None if the head is too large.
        """
        data = self._held + data
        self._held = b""
        found = (self._tail + data).find(_END)
        end = found + len(_END) - len(self._tail) if found >= 0 else len(data)
        self._num_bytes += end
        if self._num_bytes > MAX_HEAD_BYTES:
            return None
        if found < 0:
            data, self._held = _split_before_upgrade(data)
            end = len(data)
            self._num_bytes -= len(self._held)
            self._tail = (self._tail + data)[1 - len(_END) :]
        if _UPGRADES.search(data, 0, end):  # else a large body would be copied
            data = _UPGRADES.sub(_IGNORED, data[:end]) + data[end:]
        return data


def _split_before_upgrade(data: bytes) -> tuple[bytes, bytes]:
    """Split off the longest end of `data` with which `Upgrade` may begin."""
    for size in range(min(len(_UPGRADE) - 1, len(data)), 0, -1):
        if _UPGRADE.startswith(data[-size:].lower()):
            return data[:-size], data[-size:]
    return data, b""
