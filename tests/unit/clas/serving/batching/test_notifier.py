import asyncio
import threading
from concurrent.futures import Future

import pytest

from clas.serving.batching.notifier import Notifier


def test_what_other_threads_finish_arrives_and_each_gets_its_own() -> None:
    async def ask() -> list[int]:
        notifier = Notifier()
        futures = [Future[int]() for _ in range(200)]
        waiting = [asyncio.create_task(notifier.wait(future)) for future in futures]
        await asyncio.sleep(0)

        def finish(start: int) -> None:
            for number in range(start, 200, 4):
                futures[number].set_result(number)

        threads = [threading.Thread(target=finish, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        results = await asyncio.wait_for(asyncio.gather(*waiting), 10)
        for thread in threads:
            thread.join()
        return results

    assert asyncio.run(ask()) == list(range(200))


def test_what_is_finished_in_one_go_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> int:
        notifier = Notifier()
        futures = [Future[int]() for _ in range(5)]
        waiting = [asyncio.create_task(notifier.wait(future)) for future in futures]
        await asyncio.sleep(0)
        loop, wakings = asyncio.get_running_loop(), 0
        tell = loop.call_soon_threadsafe

        def count(*arguments: object) -> object:
            nonlocal wakings
            wakings += 1
            return tell(*arguments)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", count)
            for future in futures:  # in the loop's own thread, which can't hand out meanwhile
                future.set_result(0)
        await asyncio.gather(*waiting)
        return wakings

    assert asyncio.run(ask()) == 1


def test_what_is_finished_already_and_what_has_failed_arrives_too() -> None:
    async def ask() -> int:
        notifier = Notifier()
        done, failed = Future[int](), Future[int]()
        done.set_result(5)
        failed.set_exception(ValueError("why"))
        with pytest.raises(ValueError, match="why"):
            await notifier.wait(failed)
        return await notifier.wait(done)

    assert asyncio.run(ask()) == 5


def test_who_stops_waiting_cancels_what_is_not_wanted_any_more() -> None:
    async def ask() -> bool:
        notifier, future, other = Notifier(), Future[int](), Future[int]()
        task = asyncio.create_task(notifier.wait(future))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        other.set_result(1)
        assert await notifier.wait(other) == 1
        return future.cancelled()

    assert asyncio.run(ask())


def test_a_loop_that_is_closed_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    future = Future[int]()
    loop = asyncio.new_event_loop()
    task = loop.create_task(Notifier().wait(future))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    future.set_result(1)
    assert not caplog.records  # concurrent.futures would tell of an exception
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # which it is, on purpose
