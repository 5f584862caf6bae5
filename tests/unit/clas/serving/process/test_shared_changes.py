import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from clas.errors import ModelControlError, NotFoundError
from clas.serving.launch import Launch
from clas.serving.options import ServerOptions
from clas.serving.process.shared_changes import SharedChanges
from clas.serving.service import build_service
from gates import PATIENCE_S, Gate
from model_folders import put_broken, put_model
from served import SETTINGS, HeldRunner, settings_of


class Worker:
    """One of several workers, which are all in this process here."""

    def __init__(self, flowers: Path, directory: Path, number: int) -> None:
        self.gate = Gate()
        self.runners: list[HeldRunner] = []
        names = sorted(path.name for path in flowers.iterdir() if path.name in ("lily", "rose"))
        launch = Launch(
            options=ServerOptions(model_repository=str(flowers)),
            models={name: settings_of(flowers / name) for name in names},
            overrides=SETTINGS,
        )
        self.changes: Any = None
        self.service = build_service(launch, open_runner=self._open_runner, open_changes=self._open_changes)
        self.changes = SharedChanges(self.service.models, directory)
        self.changes._socket = directory / f"{number}.sock"  # they have the same process id

    def _open_runner(self, *args: Any) -> HeldRunner:
        self.gate.enter()
        self.runners.append(HeldRunner(*args))
        return self.runners[-1]

    def _open_changes(self, _: object) -> Any:
        return self.changes

    async def open(self) -> "Worker":
        await self.changes.open()
        self.service.models.start()
        await until(lambda: "loading" not in self.states().values())
        return self

    def states(self) -> dict[str, str]:
        return {model.name: model.state.value for model in self.service.models}

    def version(self, name: str) -> str:
        return self.service.models[name].version

    @property
    def num_in_memory(self) -> int:
        return sum(runner.is_alive for runner in self.runners)

    def has_prepared(self) -> bool:
        """Whether it has loaded one more model, and isn't loading any more."""
        return self.num_in_memory == 3 and not self.service.models._loader._turn.locked()

    async def die(self) -> None:
        """Leave its socket behind, as a process that was killed does."""
        self.changes._server.close()
        await asyncio.sleep(0)
        self.changes._socket.touch()


async def until(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    await asyncio.wait_for(poll(), PATIENCE_S)


class Workers:
    """The workers of a test, whose models are closed at its end."""

    def __init__(self, flowers: Path, directory: Path) -> None:
        self.flowers = flowers
        self.directory = directory
        self.all: list[Worker] = []

    async def start(self) -> Worker:
        self.all.append(Worker(self.flowers, self.directory, len(self.all)))
        return await self.all[-1].open()

    def run(self, test: Callable[["Workers"], Awaitable[None]]) -> None:
        async def run() -> None:
            try:
                await asyncio.wait_for(test(self), 2 * PATIENCE_S)
            finally:
                for worker in self.all:
                    worker.gate.open()

        try:
            asyncio.run(run())
        finally:
            for worker in self.all:
                assert worker.service.models.close(10)


@pytest.fixture
def workers(flowers: Path, tmp_path: Path) -> Workers:
    return Workers(flowers, tmp_path / "changes")


def test_a_model_is_loaded_by_all_workers(workers: Workers, exchanged_model: Path) -> None:
    async def test(workers: Workers) -> None:
        first, second, third = [await workers.start() for _ in range(3)]
        before = first.version("rose")
        put_model(workers.flowers / "rose", exchanged_model)
        await second.changes.load("rose")
        assert {worker.version("rose") for worker in (first, second, third)} == {first.version("lily")}
        assert first.version("rose") != before
        await until(lambda: [worker.num_in_memory for worker in workers.all] == [2, 2, 2])

    workers.run(test)


def test_it_takes_over_when_all_have_loaded_it(workers: Workers, exchanged_model: Path) -> None:
    async def test(workers: Workers) -> None:
        first, second = [await workers.start() for _ in range(2)]
        before = first.version("rose")
        put_model(workers.flowers / "rose", exchanged_model)
        with second.gate.closed():
            loading = asyncio.create_task(first.changes.load("rose"))
            await until(lambda: first.num_in_memory == 3)
            await asyncio.to_thread(second.gate.wait_for_arrival)
            assert [worker.version("rose") for worker in (first, second)] == [before, before]
            assert not loading.done()
        await loading
        assert first.version("rose") == second.version("rose") != before

    workers.run(test)


def test_if_one_cannot_load_it_none_switches(workers: Workers, exchanged_model: Path) -> None:
    async def test(workers: Workers) -> None:
        first, second = [await workers.start() for _ in range(2)]
        before = first.version("rose")
        put_model(workers.flowers / "rose", exchanged_model)
        with second.gate.closed():
            loading = asyncio.create_task(first.changes.load("rose"))
            await asyncio.to_thread(second.gate.wait_for_arrival)
            put_broken(workers.flowers / "rose")
        with pytest.raises(ModelControlError) as caught:
            await loading
        assert "/" not in str(caught.value)
        assert [worker.version("rose") for worker in (first, second)] == [before, before]
        assert first.states() == second.states() == {"lily": "ready", "rose": "ready"}
        await until(lambda: [worker.num_in_memory for worker in workers.all] == [2, 2])

    workers.run(test)


def test_if_they_have_loaded_different_files_none_switches(
    workers: Workers, exchanged_model: Path, tiny_model: Path
) -> None:
    async def test(workers: Workers) -> None:
        first, second = [await workers.start() for _ in range(2)]
        put_model(workers.flowers / "rose", exchanged_model)
        second.service.models._loader._turn = asyncio.Lock()
        async with second.service.models._loader._turn:  # it comes later to its folder
            loading = asyncio.create_task(first.changes.load("rose"))
            await until(first.has_prepared)
            put_model(workers.flowers / "rose", tiny_model)
        with pytest.raises(
            ModelControlError, match="the files of the model rose were changed while they were loaded"
        ):
            await loading
        assert first.version("rose") == second.version("rose") != first.version("lily")
        await until(lambda: [worker.num_in_memory for worker in workers.all] == [2, 2])

    workers.run(test)


def test_a_model_is_unloaded_by_all_workers(workers: Workers) -> None:
    async def test(workers: Workers) -> None:
        first, second = [await workers.start() for _ in range(2)]
        await second.changes.unload("rose")
        for worker in (first, second):
            assert worker.states() == {"lily": "ready", "rose": "unloaded"}
        await first.changes.load("rose")
        for worker in (first, second):
            assert worker.states() == {"lily": "ready", "rose": "ready"}

    workers.run(test)


def test_what_there_is_none_of_is_refused_in_the_words_of_the_workers(workers: Workers) -> None:
    async def test(workers: Workers) -> None:
        first, _ = [await workers.start() for _ in range(2)]
        with pytest.raises(NotFoundError, match="there is no model 'iris' in the repository"):
            await first.changes.load("iris")
        with pytest.raises(NotFoundError, match="there is no model 'iris'; this server has lily, rose"):
            await first.changes.unload("iris")

    workers.run(test)


def test_a_worker_that_comes_later_has_the_models_of_the_others(workers: Workers, tiny_model: Path) -> None:
    async def test(workers: Workers) -> None:
        first = await workers.start()
        await first.changes.unload("lily")
        put_model(workers.flowers / "iris", tiny_model)
        await first.changes.load("iris")
        second = await workers.start()
        states = {"lily": "unloaded", "rose": "ready", "iris": "ready"}
        assert first.states() == second.states() == states
        await second.changes.load("lily")
        await second.changes.unload("iris")
        third = await workers.start()
        states = {"lily": "ready", "rose": "ready", "iris": "unloaded"}
        assert [third.states()[name] for name in ("lily", "rose")] == ["ready", "ready"]
        assert third.states().get("iris") in (None, "unloaded")
        assert first.states() == second.states() == states

    workers.run(test)


def test_a_model_that_is_gone_meanwhile_keeps_no_worker_from_starting(
    workers: Workers, tiny_model: Path
) -> None:
    async def test(workers: Workers) -> None:
        first = await workers.start()
        put_model(workers.flowers / "iris", tiny_model)
        await first.changes.load("iris")
        (workers.flowers / "iris").rename(workers.flowers.parent / "iris")
        second = await workers.start()
        assert second.states() == {"lily": "ready", "rose": "ready"}
        assert first.states()["iris"] == "ready"

    workers.run(test)


def test_a_dead_worker_keeps_nobody_from_changing_anything(workers: Workers) -> None:
    async def test(workers: Workers) -> None:
        first, second = [await workers.start() for _ in range(2)]
        await second.die()
        await first.changes.unload("rose")
        assert first.states()["rose"] == "unloaded"
        assert not second.changes._socket.exists()

    workers.run(test)


def test_a_worker_that_dies_while_it_loads_keeps_the_others_from_nothing(workers: Workers) -> None:
    async def test(workers: Workers) -> None:
        first = await workers.start()

        async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.close()

        server = await asyncio.start_unix_server(die, workers.directory / "9.sock")
        await first.changes.load("rose")
        assert first.states()["rose"] == "ready"
        assert len(first.runners) == 3
        server.close()

    workers.run(test)


async def connect(worker: Worker, change: dict[str, str]) -> tuple[Any, Any, Any]:
    """Begin a change with one worker, as the one that coordinates does; returns its vote, too."""
    reader, writer = await asyncio.open_unix_connection(worker.changes._socket)
    writer.write(json.dumps(change).encode() + b"\n")
    return reader, writer, json.loads(await reader.readline())


@pytest.mark.parametrize("is_decided", [False, True])
def test_if_the_coordinator_dies_what_it_has_decided_holds(
    workers: Workers, exchanged_model: Path, is_decided: bool
) -> None:
    async def test(workers: Workers) -> None:
        worker = await workers.start()
        before = worker.version("rose")
        put_model(workers.flowers / "rose", exchanged_model)
        change = {"id": "1-1", "operation": "load", "name": "rose"}
        reader, writer, vote = await connect(worker, change)
        assert vote == {"version": worker.version("lily")}
        assert worker.version("rose") == before
        if is_decided:
            worker.changes._write(worker.changes._decisions().after("1-1", "load", "rose"))
        writer.close()
        await reader.read()
        await until(lambda: worker.num_in_memory == 2)
        assert (worker.version("rose") == before) is not is_decided

    workers.run(test)


def test_an_aborted_unload_unloads_nothing(workers: Workers) -> None:
    async def test(workers: Workers) -> None:
        worker = await workers.start()
        change = {"id": "1-1", "operation": "unload", "name": "rose"}
        reader, writer, vote = await connect(worker, change)
        assert vote == {"version": ""}
        writer.write(b"abort\n")
        assert json.loads(await reader.readline()) == {}
        writer.close()
        assert worker.states()["rose"] == "ready"

    workers.run(test)


def test_changes_of_several_workers_are_made_one_after_the_other(workers: Workers) -> None:
    async def test(workers: Workers) -> None:
        first, second = [await workers.start() for _ in range(2)]
        with first.gate.closed():
            loading = asyncio.create_task(first.changes.load("rose"))
            await asyncio.to_thread(first.gate.wait_for_arrival)
            unloading = asyncio.create_task(second.changes.unload("rose"))
            starting = asyncio.create_task(workers.start())
            await asyncio.sleep(0.1)
            assert not unloading.done()
            assert not starting.done()
            assert first.states()["rose"] == second.states()["rose"] == "ready"
        await asyncio.gather(loading, unloading)
        third = await starting
        assert [worker.states()["rose"] for worker in (first, second)] == ["unloaded", "unloaded"]
        await until(lambda: third.states()["rose"] in ("unloaded", "ready"))

    workers.run(test)


def test_nonsense_at_the_socket_changes_nothing(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "clas_system")

    async def test(workers: Workers) -> None:
        worker = await workers.start()
        for text in (b"", b"x\n", b"[\n"):
            reader, writer = await asyncio.open_unix_connection(worker.changes._socket)
            writer.write(text)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
        await worker.changes.load("rose")
        assert worker.states()["rose"] == "ready"

    workers.run(test)
    assert "a change of the models was cut off: " in caplog.text


def test_where_the_workers_cannot_meet_nothing_is_changed_and_all_else_works(
    flowers: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(workers: Workers) -> None:
        worker = await workers.start()
        assert worker.states() == {"lily": "ready", "rose": "ready"}
        with pytest.raises(ModelControlError, match="the workers can't be reached: the log has the reason"):
            await worker.changes.unload("rose")
        assert worker.states() == {"lily": "ready", "rose": "ready"}

    Workers(flowers, tmp_path / ("long" * 40)).run(test)
    assert "models can't be changed while this server runs: " in caplog.text


def test_files_that_somebody_has_cleaned_up_are_missed(workers: Workers) -> None:
    async def test(workers: Workers) -> None:
        worker = await workers.start()
        for file in workers.directory.iterdir():
            file.unlink()
        workers.directory.rmdir()
        with pytest.raises(ModelControlError, match="or restart"):
            await worker.changes.unload("rose")
        assert worker.states()["rose"] == "ready"

    workers.run(test)


def test_a_worker_that_cannot_be_reached_for_a_while_is_not_left_out(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the one that coordinates has no descriptors left: the other one would go on with its own."""
    connect = asyncio.open_unix_connection

    async def test(workers: Workers) -> None:
        first, second = [await workers.start() for _ in range(2)]

        async def fail(path: Path, **more: Any) -> Any:
            if path == second.changes._socket:
                raise OSError(24, "Too many open files")
            return await connect(path, **more)

        monkeypatch.setattr(asyncio, "open_unix_connection", fail)
        with pytest.raises((ModelControlError, OSError)):
            await first.changes.unload("rose")
        assert first.states()["rose"] == second.states()["rose"] == "ready"
        monkeypatch.undo()
        await first.changes.unload("rose")
        assert first.states()["rose"] == second.states()["rose"] == "unloaded"

    workers.run(test)
