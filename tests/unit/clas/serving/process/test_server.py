import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from clas.errors import UnavailableError
from clas.serving.http.decoders import Decoders
from clas.serving.options import ServerOptions
from clas.serving.process.server import Server, _Report, exit_unless_idle, uvicorn_options
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
    return SimpleNamespace(models=SimpleNamespace(close=lambda _: has_ended), decoders=decoders)


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


def test_a_process_whose_model_still_runs_exits_at_once_and_says_so(
    decoders: Decoders, statuses: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "clas_system"):
        exit_unless_idle(service_with(decoders, has_ended=False), 0, "stopped")
    assert (statuses, caplog.messages) == ([0], ["stopped"])


def server_of(models: Any) -> Server:
    async def app(*_: object) -> None:
        raise AssertionError

    return Server(uvicorn.Config(app, **uvicorn_options(ServerOptions())), models, lambda: False)


@pytest.mark.parametrize(
    "numbers", [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)], ids=["terminal", "parent"]
)
def test_ctrl_c_reaches_a_server_twice_and_cuts_nothing(numbers: tuple[signal.Signals, ...]) -> None:
    """From the terminal, and as SIGTERM from the parent, whichever comes first."""
    server = server_of(SimpleNamespace(has_failed=False))
    for number in numbers:
        server.handle_exit(number, None)
    assert server.should_exit
    assert not server.force_exit
    server.handle_exit(signal.SIGINT, None)
    assert server.force_exit


def test_headers_of_proxies_do_not_change_who_the_client_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else any client on this machine could pass for a proxy that is trusted."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")

    async def app(scope: Any, *_: object) -> None:
        seen.append(scope["client"])

    seen: list[Any] = []
    config = uvicorn.Config(app, **uvicorn_options(ServerOptions()))
    config.load()
    scope: Any = {
        "type": "http",
        "client": ("127.0.0.1", 1),
        "headers": [(b"x-forwarded-for", b"192.0.2.7")],
    }
    asyncio.run(config.loaded_app(scope, None, None))
    assert seen == [("127.0.0.1", 1)]


class Told:
    """Records what the parent is told."""

    is_orphaned = False

    def __init__(self) -> None:
        self.events: list[str] = []

    def ready(self) -> None:
        self.events.append("ready")

    def beat(self) -> None:
        self.events.append("beat")


def test_the_parent_is_told_once_that_the_model_serves_and_hears_while_all_is_well() -> None:
    models = SimpleNamespace(is_loading=True, has_failed=False)
    hangs = False

    def check_health() -> None:
        if hangs:
            raise UnavailableError("the model has been at one batch for 99 s")

    told: Any = Told()
    service: Any = SimpleNamespace(models=models, check_health=check_health)
    report = _Report(service, told, lambda: told.events.append("logged"))
    report()
    models.is_loading = False
    assert report() is False
    hangs = True
    report()
    told.is_orphaned = True
    assert report() is True
    assert told.events == ["beat", "ready", "logged", "beat"]


def test_a_model_that_cannot_be_loaded_is_never_ready() -> None:
    told: Any = Told()
    service: Any = SimpleNamespace(
        models=SimpleNamespace(is_loading=False, has_failed=True), check_health=lambda: None
    )
    _Report(service, told, lambda: None)()
    assert told.events == ["beat"]
