import asyncio
from typing import Any

from clas.serving.http.joined_writes import JoinedWrites
from clas.serving.http.write_timeout import WriteTimeout


class Transport:
    """Notes what is written, and that it is closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def write_eof(self) -> None:
        self.written.append(b"")

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def joined(transport: Any) -> JoinedWrites:
    loop = asyncio.get_running_loop()
    return JoinedWrites(transport, loop, WriteTimeout(transport, loop, 60))


async def write(*parts: bytes, pause: bool = False, close: bool = False) -> Transport:
    transport = Transport()
    answer = joined(transport)
    for part in parts:
        answer.write(part)
        if pause:
            await asyncio.sleep(0)
    if close:
        answer.close()
    else:
        await asyncio.sleep(0)
    assert answer.is_closed is close  # like all else, the other transport's
    return transport


HEAD = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"


def test_the_head_of_an_answer_goes_with_its_body() -> None:
    assert asyncio.run(write(HEAD, b"body", b"more")).written == [HEAD + b"body", b"more"]


def test_a_head_without_a_body_goes_too() -> None:
    assert asyncio.run(write(HEAD)).written == [HEAD]
    assert asyncio.run(write(HEAD, close=True)).written == [HEAD]


def test_a_body_that_comes_later_does_not_keep_the_head() -> None:
    assert asyncio.run(write(HEAD, b"body", pause=True)).written == [HEAD, b"body"]


def test_a_word_that_the_client_waits_for_goes_at_once() -> None:
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert asyncio.run(write(go_on, HEAD, b"body")).written == [go_on, HEAD + b"body"]


def test_a_head_whose_client_has_gone_goes_nowhere() -> None:
    async def write_then_lose() -> Transport:
        transport = Transport()
        joined(transport).write(HEAD)
        transport.close()
        await asyncio.sleep(0)
        return transport

    assert asyncio.run(write_then_lose()).written == []


def test_a_refusal_that_is_the_last_word_goes_before_the_end_is_told() -> None:
    async def refuse() -> Transport:
        transport = Transport()
        answer = joined(transport)
        answer.write(HEAD + b"refused")
        answer.write_eof()
        await asyncio.sleep(0)
        return transport

    assert asyncio.run(refuse()).written == [HEAD + b"refused", b""]
