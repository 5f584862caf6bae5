import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from clas.serving.http.decoders import Decoders
from clas.serving.process.server import exit_unless_idle
from gates import Gate


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    decoders = Decoders(1)
    yield decoders
    decoders.close()


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Those with which the process would have exited at once."""
    statuses: list[int] = []
    monkeypatch.setattr("os._exit", statuses.append)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    return statuses


def service_with(decoders: Decoders, *, has_ended: bool = True) -> Any:
    return SimpleNamespace(pool=SimpleNamespace(close=lambda _: has_ended), decoders=decoders)


def test_a_process_whose_decoders_are_idle_ends_in_order(decoders: Decoders, statuses: list[int]) -> None:
    name = asyncio.run(decoders.run(lambda: threading.current_thread().name))
    assert name in [thread.name for thread in threading.enumerate()]
    exit_unless_idle(service_with(decoders), 0)
    assert statuses == []


def test_a_process_that_still_decodes_exits_at_once(decoders: Decoders, statuses: list[int]) -> None:
    async def decode() -> None:
        task = asyncio.create_task(decoders.run(gate.enter))
        await asyncio.to_thread(gate.wait_for_arrival)
        exit_unless_idle(service_with(decoders), 1)
        gate.open()
        await task

    gate = Gate()
    with gate.closed():
        asyncio.run(decode())
    assert statuses == [1]


def test_a_process_whose_model_still_runs_exits_at_once(decoders: Decoders, statuses: list[int]) -> None:
    exit_unless_idle(service_with(decoders, has_ended=False), 0)
    assert statuses == [0]
