import asyncio
from typing import Any

import pytest
from starlette.types import Message

from clas.errors import UnavailableError
from clas.serving.batching.admission import Room
from clas.serving.http.outbox import PIECE_BYTES, Outbox
from clas.serving.metrics import Metrics

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def body_of(size: int, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": bytes(range(256)) * (size // 256), "more_body": more}


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("size", [PIECE_BYTES + 256, 4 * PIECE_BYTES])
def test_a_large_body_goes_out_in_pieces(size: int, more: bool) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    metrics = Metrics()
    outbox = Outbox(Room(1), metrics.unsent)
    asyncio.run(outbox.send(send, START, body_of(size, more=more)))
    start, *pieces = sent
    assert start == START
    assert b"".join(piece["body"] for piece in pieces) == body_of(size)["body"]
    assert max(len(piece["body"]) for piece in pieces) == PIECE_BYTES
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [more]


@pytest.mark.parametrize("waits_at", ["http.response.start", "http.response.body"])
def test_what_waits_for_its_client_leaves_no_room_for_requests(waits_at: str) -> None:
    room, metrics = Room(1_000_000), Metrics()
    unsent: Any = metrics.unsent

    async def wait() -> None:
        waits, taken = asyncio.Event(), asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == waits_at:
                waits.set()
                await taken.wait()

        outbox = Outbox(room, metrics.unsent)
        sending = asyncio.create_task(outbox.send(send, START, body_of(999_936)))
        await waits.wait()
        assert unsent._value.get() == 999_936
        with pytest.raises(UnavailableError, match="the queue is full: 999936 of 1000000 bytes"):
            room.change(1000)
        taken.set()
        await sending

    asyncio.run(wait())
    assert unsent._value.get() == 0
    room.change(1_000_000)


def test_what_nobody_takes_any_more_is_not_counted() -> None:
    room, metrics = Room(1_000_000), Metrics()
    unsent: Any = metrics.unsent

    async def send(_: Message) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Outbox(room, metrics.unsent).send(send, None, body_of(999_936)))
    assert unsent._value.get() == 0
    room.change(1_000_000)
