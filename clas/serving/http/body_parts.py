"""Collects the parts of a request's body until the application gets them."""

from typing import Final

_ENOUGH_BYTES: Final = 2**20
_PART_BYTES: Final = 64  # overhead of each part; parts may be of one byte


class BodyParts:
    """The parts that wait for the application.

    Attributes:
        count: The number of parts that have come, of all bodies.
    """

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[bytes] = []
        self._num_bytes = 0

    def add(self, part: bytes) -> bool:
        """Add a part; tells whether it is time to take them."""
        self._parts.append(part)
        self._num_bytes += len(part) + _PART_BYTES
        return self._num_bytes > _ENOUGH_BYTES

    def take(self, before: bytes | bytearray) -> bytes:
        """Return `before` and all parts, joined: as bytes, since uvicorn would copy a bytearray."""
        if before:
            self._parts.insert(0, bytes(before))
        body = b"".join(self._parts)
        self._parts.clear()
        self._num_bytes = 0
        return body
