import asyncio
import threading
from collections.abc import Iterator

import pytest

from clas.errors import UnavailableError
from clas.serving.http.decoders import Decoders
from gates import Gate, wait_until


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    decoders = Decoders(2)
    yield decoders
    decoders.close()


def fail() -> None:
    raise ValueError("damaged")


def test_a_function_is_called_in_a_thread_of_its_own(decoders: Decoders) -> None:
    assert asyncio.run(decoders.run(lambda: threading.current_thread().name)) == "decoder_0"


def test_threads_that_wait_for_work_are_idle(decoders: Decoders) -> None:
    asyncio.run(decoders.run(lambda: None))
    assert threading.active_count() > 1  # the one that has worked is there
    assert decoders.is_idle
    assert decoders.busy_s == 0


def test_a_thread_is_idle_after_a_failure(decoders: Decoders) -> None:
    with pytest.raises(ValueError, match="damaged"):
        asyncio.run(decoders.run(fail))
    assert decoders.is_idle


def test_work_that_nobody_waits_for_any_more_goes_on_and_is_seen(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its request has met its deadline."""

    async def leave() -> None:
        task = asyncio.create_task(decoders.run(gate.enter))
        await asyncio.to_thread(gate.wait_for_arrival)
        task.cancel()
        await asyncio.wait([task])

    gate = Gate()
    with gate.closed():
        asyncio.run(leave())
        assert not decoders.is_idle
        decoders.check_health(0)
        monkeypatch.setattr("clas.serving.http.decoders._SLACK_S", 0)
        wait_until(lambda: decoders.busy_s > 0.01)
        decoders.check_health(60)
        with pytest.raises(UnavailableError, match="a decoder has been at one request for 0 s"):
            decoders.check_health(0.01)
    wait_until(lambda: decoders.is_idle)
    decoders.check_health(0)


def test_what_waits_for_a_thread_is_dropped_at_the_end(decoders: Decoders) -> None:
    async def close() -> None:
        tasks = [asyncio.create_task(decoders.run(gate.enter)) for _ in range(3)]
        await asyncio.to_thread(wait_until, lambda: len(decoders._busy_since) == 2)
        decoders.close()
        gate.open()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, False, True]

    gate = Gate()
    with gate.closed():
        asyncio.run(close())
