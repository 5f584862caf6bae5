import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clas.serving.options import ServerOptions
from clas.serving.process import supervisor
from clas.serving.process.control import Control
from clas.serving.process.worker import Deployment


def unused(*_: object) -> Any:
    raise AssertionError


def worker_of(scratch: Path, slot: int, *devices: str) -> Any:
    deployment = Deployment(
        options=ServerOptions(),
        num_workers=2,
        devices=devices,
        build=unused,
        log_handlers=[],
        scratch=scratch,
        control=Control(),
        on_ready=unused,
    )
    return SimpleNamespace(slot=slot, deployment=deployment, pid=os.getpid())


def arbiter_with(*slots: int) -> Any:
    return SimpleNamespace(WORKERS={slot: SimpleNamespace(slot=slot) for slot in slots}, num_workers=2)


@pytest.mark.parametrize(("taken", "slot"), [([], 0), ([0], 1), ([1], 0), ([0, 2], 1), ([0, 1], 2)])
def test_a_new_worker_gets_the_lowest_slot_that_is_free(taken: list[int], slot: int) -> None:
    worker: Any = SimpleNamespace(slot=0)
    supervisor._assign_slot(arbiter_with(*taken), worker)
    assert worker.slot == slot


@pytest.mark.parametrize(("slot", "device"), [(0, "3"), (1, "5"), (2, "3")])
def test_each_worker_sees_one_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slot: int, device: str
) -> None:
    """More workers than GPUs are there only while SIGHUP exchanges them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    shared: list[tuple[Path, int]] = []
    monkeypatch.setattr(supervisor, "share_metrics", lambda *args: shared.append(args))
    supervisor._set_up_worker(arbiter_with(), worker_of(tmp_path, slot, "3", "5"))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == device
    assert shared == [(tmp_path / "metrics", slot)]


def test_readiness_is_told_once_and_when_all_workers_serve(tmp_path: Path) -> None:
    told: list[None] = []
    deployment = dataclasses.replace(worker_of(tmp_path, 0).deployment, on_ready=lambda: told.append(None))
    arbiter: Any = SimpleNamespace(_control=Control(), _deployment=deployment, _was_complete=False)
    counts = []
    for slot in (1, 0, 0):
        supervisor._Supervisor.maybe_promote_master(arbiter)
        deployment.state.serving[slot] = True
        supervisor._Supervisor.maybe_promote_master(arbiter)
        counts.append(len(told))
    assert counts == [0, 1, 1]


@pytest.mark.parametrize("has_failed", [False, True])
def test_the_supervisor_ends_when_its_first_workers_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_failed: bool
) -> None:
    worker = worker_of(tmp_path, 0)
    worker.deployment.metrics_dir.mkdir()
    if has_failed:
        worker.deployment.state.has_failed = True
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    arbiter = arbiter_with()
    supervisor._on_worker_exit(arbiter, worker)
    assert killed == ([os.getpid()] if has_failed else [])
    assert arbiter.num_workers == (0 if has_failed else 2)
