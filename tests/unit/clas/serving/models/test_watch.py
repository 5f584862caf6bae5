import asyncio
import os
from pathlib import Path

import pytest

from clas.errors import ModelControlError
from clas.serving.metrics import Metrics
from clas.serving.models.repository import Repository
from clas.serving.models.watch import Watch, watch
from gates import wait_until
from model_folders import empty_folder, put_model
from served import best, served, unloaded


@pytest.fixture
def looking(flowers: Path) -> Watch:
    """At a repository of lily and rose."""
    return Watch({}, Repository(flowers))


def rewrite(file: Path) -> None:
    """Write a file again, with the same content a moment later."""
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def test_what_stays_as_it_is_is_not_loaded_again(looking: Watch) -> None:
    assert [looking.look() for _ in range(3)] == [[], [], []]


def test_a_change_counts_once_when_the_folder_is_quiet_again(looking: Watch, flowers: Path) -> None:
    for _ in range(3):  # somebody still writes
        rewrite(flowers / "rose" / "inference.pdiparams")
        assert looking.look() == []
    assert looking.look() == [("rose", True)]
    assert looking.look() == []


def test_a_file_more_or_less_is_a_change(looking: Watch, flowers: Path) -> None:
    (flowers / "rose" / "inference.yml").write_text("")
    assert [looking.look() for _ in range(3)] == [[], [("rose", True)], []]
    (flowers / "rose" / "inference.yml").unlink()
    assert [looking.look() for _ in range(3)] == [[], [("rose", True)], []]


def test_a_change_that_is_taken_back_before_it_counts_is_none(looking: Watch, flowers: Path) -> None:
    file = flowers / "rose" / "new"
    file.write_text("")
    assert looking.look() == []
    file.unlink()
    assert [looking.look() for _ in range(3)] == [[], [], []]


def test_a_folder_that_comes_is_loaded_and_one_that_goes_unloaded(
    looking: Watch, flowers: Path, tiny_model: Path
) -> None:
    put_model(flowers / "iris", tiny_model)
    (flowers / "rose").rename(flowers.parent / "rose")
    assert [looking.look() for _ in range(3)] == [[], [("iris", True), ("rose", False)], []]
    (flowers.parent / "rose").rename(flowers / "rose")
    assert [looking.look() for _ in range(3)] == [[], [("rose", True)], []]


def test_an_empty_folder_is_one_that_is_about_to_be_filled(looking: Watch, flowers: Path) -> None:
    (flowers / "iris").mkdir()
    empty_folder(flowers / "rose")
    assert [looking.look() for _ in range(3)] == [[], [], []]


def test_a_folder_that_is_exchanged_by_a_link_has_changed(flowers: Path, tiny_model: Path) -> None:
    for version in ("1", "2"):
        put_model(flowers / f".{version}", tiny_model)
    (flowers / "iris").symlink_to(".1")
    looking = Watch({}, Repository(flowers))
    (flowers / "new").symlink_to(".2")
    (flowers / "new").replace(flowers / "iris")
    assert [looking.look() for _ in range(3)] == [[], [("iris", True)], []]


def test_a_configured_folder_is_watched_too_and_never_unloaded(tmp_path: Path, tiny_model: Path) -> None:
    folder = put_model(tmp_path / "own", tiny_model)
    looking = Watch({"rose": folder}, None)
    rewrite(next(folder.iterdir()))
    assert [looking.look() for _ in range(3)] == [[], [("rose", True)], []]
    folder.rename(tmp_path / "away")
    assert [looking.look() for _ in range(3)] == [[], [], []]


def test_a_configured_model_is_not_the_folder_of_its_name(
    flowers: Path, tmp_path: Path, tiny_model: Path
) -> None:
    looking = Watch({"rose": put_model(tmp_path / "own", tiny_model)}, Repository(flowers))
    rewrite(flowers / "rose" / "inference.pdiparams")
    assert [looking.look() for _ in range(3)] == [[], [], []]


def test_a_repository_that_cannot_be_read_for_a_while_changes_nothing(
    looking: Watch, flowers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the network that it is on fails for a moment."""
    flowers.rename(flowers.parent / "away")
    assert [looking.look() for _ in range(3)] == [[], [], []]
    assert f"model_repository {flowers} can't be read: No such file or directory" in caplog.text
    (flowers.parent / "away").rename(flowers)
    assert [looking.look() for _ in range(3)] == [[], [], []]


class Recorded:
    """Notes the changes that it is asked for; those of some models can't be made."""

    def __init__(self, *broken: str) -> None:
        self.asked: list[tuple[str, str]] = []
        self._broken = broken

    async def load(self, name: str) -> None:
        """Load a model."""
        self.asked.append(("load", name))
        if name in self._broken:
            raise ModelControlError(f"the model {name} can't be loaded: as a test")

    async def unload(self, name: str) -> None:
        """Unload one."""
        self.asked.append(("unload", name))


async def watched(looking: Watch, changes: Recorded, count: int, *names: str) -> None:
    """Watch until so many changes were asked for."""
    task = asyncio.create_task(watch(looking, unloaded(Metrics(), *names), changes, 0.001))
    while len(changes.asked) < count and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_what_has_changed_is_loaded_and_what_has_gone_unloaded(
    looking: Watch, flowers: Path, tiny_model: Path
) -> None:
    changes = Recorded()
    put_model(flowers / "iris", tiny_model)
    (flowers / "lily").rename(flowers.parent / "lily")
    rewrite(flowers / "rose" / "inference.pdiparams")
    asyncio.run(asyncio.wait_for(watched(looking, changes, 3, "lily", "rose"), 30))
    assert changes.asked == [("load", "iris"), ("load", "rose"), ("unload", "lily")]


def test_what_was_never_served_need_not_be_unloaded(looking: Watch, flowers: Path) -> None:
    changes = Recorded()
    (flowers / "lily").rename(flowers.parent / "lily")
    rewrite(flowers / "rose" / "inference.pdiparams")
    asyncio.run(asyncio.wait_for(watched(looking, changes, 1, "rose"), 30))
    assert changes.asked == [("load", "rose")]


def test_a_change_that_cannot_be_made_is_logged_and_the_others_are_made(
    looking: Watch, flowers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = Recorded("lily")
    for name in ("lily", "rose"):
        rewrite(flowers / name / "inference.pdiparams")
    asyncio.run(asyncio.wait_for(watched(looking, changes, 2, "lily", "rose"), 30))
    assert changes.asked == [("load", "lily"), ("load", "rose")]
    assert "the model lily can't be loaded: as a test" in caplog.messages


def test_a_failure_that_nobody_expects_does_not_end_the_watch(
    looking: Watch, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a shortage of descriptors."""
    changes = Recorded()
    failures = [OSError(24, "Too many open files")]
    look = Watch.look

    def fail_once(self: Watch) -> list[tuple[str, bool]]:
        if failures:
            raise failures.pop()
        return look(self)

    monkeypatch.setattr(Watch, "look", fail_once)
    rewrite(flowers / "rose" / "inference.pdiparams")
    asyncio.run(asyncio.wait_for(watched(looking, changes, 1, "rose"), 30))
    assert changes.asked == [("load", "rose")]


def test_a_running_server_serves_what_its_folders_hold(
    flowers: Path, tiny_model: Path, exchanged_model: Path
) -> None:
    with served(repository=flowers) as service:
        looking = Watch({}, Repository(flowers))
        assert service.client.portal
        watching = service.client.portal.start_task_soon(
            watch, looking, service.models, service.changes, 0.02
        )
        put_model(flowers / "rose", exchanged_model)
        put_model(flowers / "iris", tiny_model)
        wait_until(lambda: service.states().get("iris") == "ready")
        wait_until(lambda: best(service.predict("rose", 0)) == [2])
        (flowers / "lily").rename(flowers.parent / "lily")
        wait_until(lambda: service.states()["lily"] == "unloaded")
        watching.cancel()
