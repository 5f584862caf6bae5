import asyncio
import threading
from collections.abc import Iterator
from functools import partial

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


def test_those_of_one_lane_take_their_turns_with_those_of_others() -> None:
    """However many come for one model, the next one for another waits for as many as can be at it only."""
    decoders = Decoders(1)
    order: list[str] = []

    async def run_all() -> None:
        tasks = [asyncio.create_task(decoders.run(gate.enter, "first"))]
        await asyncio.to_thread(gate.wait_for_arrival)
        for name in ("rose 1", "rose 2", "rose 3", "rose 4", "lily 1", "lily 2", "iris 1"):
            tasks.append(asyncio.create_task(decoders.run(partial(order.append, name), name.split()[0])))
            await asyncio.sleep(0)  # it is in its lane now
        gate.open()
        await asyncio.gather(*tasks)

    gate = Gate()
    with gate.closed():
        asyncio.run(run_all())
    decoders.close()
    assert order == ["rose 1", "lily 1", "iris 1", "rose 2", "lily 2", "rose 3", "rose 4"]


def test_in_one_lane_all_is_done_in_the_order_in_which_it_came() -> None:
    decoders = Decoders(1)
    order: list[int] = []

    async def run_all() -> None:
        await asyncio.gather(*(decoders.run(partial(order.append, number)) for number in range(20)))

    asyncio.run(run_all())
    decoders.close()
    assert order == list(range(20))


def test_a_lane_that_hangs_leaves_the_other_threads_to_the_others(decoders: Decoders) -> None:
    async def run_both() -> None:
        hanging = asyncio.create_task(decoders.run(gate.enter, "rose"))
        await asyncio.to_thread(gate.wait_for_arrival)
        assert await decoders.run(lambda: 7, "lily") == 7
        assert not hanging.done()
        gate.open()
        await hanging

    gate = Gate()
    with gate.closed():
        asyncio.run(run_both())


def test_what_nobody_waits_for_any_more_is_not_begun(decoders: Decoders) -> None:
    begun: list[str] = []

    async def leave() -> None:
        held = [asyncio.create_task(decoders.run(gate.enter, "rose")) for _ in range(2)]
        await asyncio.to_thread(wait_until, lambda: len(decoders._busy_since) == 2)
        left, kept = (
            asyncio.create_task(decoders.run(partial(begun.append, name), "rose"))
            for name in ("left", "kept")
        )
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(*held, kept)

    gate = Gate()
    with gate.closed():
        asyncio.run(leave())
    assert begun == ["kept"]


def test_lanes_that_are_empty_are_forgotten(decoders: Decoders) -> None:
    async def run_all() -> None:
        for number in range(10):
            await decoders.run(lambda: None, f"model {number}")

    asyncio.run(run_all())
    assert not decoders._lanes


def test_each_gets_its_own_result_or_failure(decoders: Decoders) -> None:
    async def run_all() -> list[object]:
        functions = [partial(int, text) for text in ("1", "x", "3", "y", "5")]
        runs = (decoders.run(function, number % 2) for number, function in enumerate(functions))
        return list(await asyncio.gather(*runs, return_exceptions=True))

    one, x, three, y, five = asyncio.run(run_all())
    assert [one, three, five] == [1, 3, 5]
    assert isinstance(x, ValueError)
    assert "'x'" in str(x)
    assert isinstance(y, ValueError)
    assert "'y'" in str(y)
