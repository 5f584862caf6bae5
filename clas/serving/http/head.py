"""Watches the head of a request while it is received, and checks what the parser lets pass."""

import re
from collections.abc import Iterable
from typing import Final

from ...errors import RequestError, TransferCodingError

MAX_HEAD_BYTES: Final = 65_536

_END: Final = b"\r\n\r\n"
_UPGRADE: Final = b"\r\nupgrade:"
_UPGRADES: Final = re.compile(re.escape(_UPGRADE), re.IGNORECASE)
_IGNORED: Final = b"\r\nx-ignored:"
_SHOWN_BYTES: Final = 80


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


def check_fields(fields: Iterable[tuple[bytes, bytes]], http_version: str) -> None:
    """Refuse a head whose host or framing is unclear, as RFC 9112 has it (3.2 and 6.1).

    httptools itself refuses Content-Length with Transfer-Encoding, each of them twice, and a last coding
    other than chunked.

    Args:
        fields: Names, in lower case, with values.
        http_version: Such as 1.1.

    Raises:
        RequestError: Host is missing or there twice, HTTP/1.0 comes with a transfer coding, or the last
            coding isn't chunked, so that the body has no end.
        TransferCodingError: There is another coding before chunked.
    """
    hosts = 0
    codings = []
    for name, value in fields:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings.append(value)
    if hosts != 1 and (hosts or http_version != "1.0"):
        raise RequestError(f"the request has {hosts or 'no'} Host headers; HTTP/{http_version} takes one")
    if codings:
        _check_coding(b", ".join(codings).strip().lower(), http_version)


def _check_coding(coding: bytes, http_version: str) -> None:
    said = f"Transfer-Encoding is {coding[:_SHOWN_BYTES].decode('latin-1')}"
    if http_version == "1.0":
        raise RequestError(f"{said}; HTTP/1.0 has none: send Content-Length")
    if coding != b"chunked":
        has_end = coding.rpartition(b",")[2].strip() == b"chunked"
        error = TransferCodingError if has_end else RequestError
        raise error(f"{said}; it takes chunked alone: send the body as it is")
