"""Sends large responses piece by piece, and counts what waits for its client."""

from typing import Final

from prometheus_client import Gauge
from starlette.types import Message, Send

from ..batching.admission import Room

PIECE_BYTES: Final = 65_536
"""What is handed to a connection at once, which may hold as much again: uvicorn waits for it in between."""


class Outbox:
    """Sends what is larger than a piece.

    A response that is handed over whole waits in the transport, uncounted, until the client has read it.

    Args:
        room: Counts the bytes that wait with those of request bodies.
        unsent: The gauge of the bytes that wait.
    """

    def __init__(self, room: Room, unsent: Gauge) -> None:
        self._room = room
        self._unsent = unsent

    async def send(self, send: Send, start: Message | None, message: Message) -> None:
        """Send a part of a body; returns when all but the last pieces have reached the system.

        Args:
            send: Sends messages.
            start: The head of the response, if it isn't sent yet.
            message: The part.
        """
        body = message["body"]
        last = (len(body) - 1) // PIECE_BYTES * PIECE_BYTES
        self._unsent.inc(len(body))
        try:
            with self._room.hold(len(body)):
                if start is not None:
                    await send(start)
                for at in range(0, last, PIECE_BYTES):
                    await send({**message, "body": body[at : at + PIECE_BYTES], "more_body": True})
                await send({**message, "body": body[last:]})
        finally:
            self._unsent.dec(len(body))
