import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clas.serving.models.pulse import Pulse
from clas.serving.options import ServerOptions
from clas.serving.process import worker as module
from clas.serving.process.control import Control
from clas.serving.process.worker import Deployment, Worker


def unused(*_: object) -> Any:
    raise AssertionError


def worker_of(scratch: Path, **attributes: Any) -> Any:
    deployment = Deployment(
        options=ServerOptions(),
        num_workers=2,
        devices=(),
        build=unused,
        log_handlers=[],
        scratch=scratch,
        control=Control(),
        on_ready=unused,
    )
    return SimpleNamespace(deployment=deployment, **attributes)


class Pool:
    """As far as its heartbeat is concerned."""

    has_failed = False

    def __init__(self, *, is_loading: bool) -> None:
        self.beats = 5
        self.is_loading = is_loading

    def pools(self) -> list["Pool"]:
        """It is the only one of its model."""
        return [self]


def beating(
    scratch: Path, beats: int, *, is_loading: bool = False, busy_s: float = 0, sent: list[None]
) -> Any:
    """A worker whose model has sent `beats` heartbeats, 5 of which it has felt."""
    pool: Any = Pool(is_loading=is_loading)
    pulse, models = Pulse(), [pool]
    pulse.is_felt(models)  # type: ignore[arg-type]
    pool.beats = beats
    service = SimpleNamespace(models=models, decoders=SimpleNamespace(busy_s=busy_s))
    return worker_of(scratch, _service=service, _pulse=pulse, ppid=1000, notify=lambda: sent.append(None))


@pytest.mark.parametrize("was_ready", [False, True])
def test_a_worker_that_cannot_load_ends_the_start_or_makes_the_next_one_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_ready: bool
) -> None:
    monkeypatch.setattr(module, "_BACK_OFF_S", 0.2)
    worker = worker_of(tmp_path)
    if was_ready:
        worker.deployment.state.serving[0] = True
    beats: list[None] = []
    worker.notify = lambda: beats.append(None)
    Worker._fail_start_or_back_off(worker)
    assert worker.deployment.state.has_failed is not was_ready
    assert bool(beats) is was_ready


@pytest.mark.parametrize(
    ("beats", "is_loading", "is_sent"), [(5, False, False), (6, False, True), (5, True, True)]
)
def test_a_heartbeat_is_sent_only_if_the_pool_has_sent_one_or_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beats: int, is_loading: bool, is_sent: bool
) -> None:
    monkeypatch.setattr("os.getppid", lambda: 1000)
    sent: list[None] = []
    assert not Worker._beat(beating(tmp_path, beats, is_loading=is_loading, sent=sent))
    assert bool(sent) is is_sent


@pytest.mark.parametrize(("busy_s", "is_sent"), [(29, True), (31, False)])
def test_no_heartbeat_is_sent_while_a_decoder_outlives_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy_s: float, is_sent: bool
) -> None:
    """So that the supervisor replaces the process; its timeout_s is 30."""
    monkeypatch.setattr("os.getppid", lambda: 1000)
    sent: list[None] = []
    assert not Worker._beat(beating(tmp_path, 6, busy_s=busy_s, sent=sent))
    assert bool(sent) is is_sent


def test_a_worker_whose_supervisor_was_killed_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getppid", lambda: 1)
    assert Worker._beat(beating(tmp_path, 5, sent=[]))


@pytest.mark.parametrize(
    ("level", "is_quiet", "shown"),
    [
        (logging.INFO, True, ["failed", "after"]),
        (logging.INFO, False, ["loaded", "assumed", "failed", "after"]),
        (logging.DEBUG, True, ["loaded", "assumed", "failed", "after"]),
        (logging.CRITICAL, True, []),
    ],
)
def test_all_but_the_first_worker_say_of_the_model_only_what_failed(
    caplog: pytest.LogCaptureFixture, level: int, is_quiet: bool, shown: list[str]
) -> None:
    with caplog.at_level(level, "clas_system"):
        with module._quieter(is_quiet=is_quiet):
            module._LOGGER.info("loaded")
            module._LOGGER.warning("assumed")
            module._LOGGER.error("failed")
        module._LOGGER.info("after")
    assert caplog.messages == shown


def test_the_server_is_complete_when_each_worker_has_been_ready(tmp_path: Path) -> None:
    deployment = worker_of(tmp_path).deployment
    for slot in range(deployment.num_workers):
        assert not deployment.is_complete
        deployment.state.serving[slot] = True
    assert deployment.is_complete


def test_what_the_processes_tell_each_other_is_false_at_the_start(tmp_path: Path) -> None:
    state = worker_of(tmp_path).deployment.state
    assert (state.was_ready, state.has_failed) == (False, False)
    state.has_failed = True
    assert (state.was_ready, state.has_failed) == (False, True)
