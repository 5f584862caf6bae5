import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from clas.errors import SlowRequestError, UnavailableError
from clas.serving.http.deadline import Deadline

SLOW = SlowRequestError("too slow")


def request_of(receive: Callable[[], Awaitable[Message]]) -> Request:
    return Request({"type": "http", "headers": []}, receive)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up() -> Message:
    return {"type": "http.disconnect"}


def test_what_is_done_in_time_is_left_alone() -> None:
    async def work() -> str:
        async with Deadline(time.monotonic() + 10, SLOW) as deadline:
            deadline.watch(request_of(never))
            await asyncio.sleep(0)
            return "done"

    assert asyncio.run(work()) == "done"


def test_the_block_raises_what_it_was_told_when_the_time_is_over() -> None:
    async def work(*, has_body: bool) -> None:
        async with Deadline(time.monotonic() + 0.01, SLOW) as deadline:
            if has_body:
                deadline.error = UnavailableError("too late")
            await asyncio.Event().wait()

    with pytest.raises(SlowRequestError, match=r"^too slow$"):
        asyncio.run(work(has_body=False))
    with pytest.raises(UnavailableError, match=r"^too late$"):
        asyncio.run(work(has_body=True))


def test_a_time_that_is_over_already_ends_the_first_wait() -> None:
    async def work() -> None:
        async with Deadline(time.monotonic() - 1, SLOW):
            await asyncio.Event().wait()

    with pytest.raises(SlowRequestError):
        asyncio.run(work())


def test_a_client_that_hangs_up_ends_the_wait() -> None:
    async def work() -> None:
        async with Deadline(time.monotonic() + 10, SLOW) as deadline:
            deadline.watch(request_of(hang_up))
            await asyncio.Event().wait()

    with pytest.raises(ClientDisconnect):
        asyncio.run(work())


def test_what_the_watch_fails_with_is_raised() -> None:
    async def fail() -> Message:
        raise ZeroDivisionError

    async def work() -> None:
        async with Deadline(time.monotonic() + 10, SLOW) as deadline:
            deadline.watch(request_of(fail))
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(work())


def test_an_error_of_the_block_and_a_cancellation_from_outside_stay_what_they_are() -> None:
    async def work(wait: Awaitable[object]) -> None:
        async with Deadline(time.monotonic() + 10, SLOW):
            await wait

    async def fail() -> None:
        raise KeyError

    async def cancel() -> None:
        task = asyncio.create_task(work(asyncio.Event().wait()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(KeyError):
        asyncio.run(work(fail()))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())


def test_nothing_is_broken_off_once_the_block_is_over() -> None:
    async def work() -> str:
        async with Deadline(time.monotonic() + 0.02, SLOW) as deadline:
            deadline.watch(request_of(never))
        await asyncio.sleep(0.05)
        return "done"

    assert asyncio.run(work()) == "done"
