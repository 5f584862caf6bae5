import contextlib
import dataclasses
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from clas.serving.process.pidfile import RunningServer, announced, find, forget
from gates import wait_until

PORT = 8866
FORKS_IN_THE_BLOCK = """
import os, sys
from pathlib import Path
from clas.serving.process.pidfile import announced, find
with announced(8866, 5, Path(sys.argv[1])):
    worker = os.fork()
    if worker:
        os.waitpid(worker, 0)
        print("known" if find(8866) else "forgotten")
print("known" if find(8866) else "forgotten")
"""


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    directory = tmp_path / "clas_serving_x"
    directory.mkdir()
    (directory / "file").touch()
    return directory


@pytest.fixture
def other() -> Iterator[psutil.Popen]:
    """A process that waits until it is ended."""
    with psutil.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        wait_until(lambda: process.cmdline()[-1:] == ["input()"])  # which it is told only after its start
        yield process
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def server_of(process: psutil.Process, scratch: Path, **changes: Any) -> RunningServer:
    server = RunningServer(process.pid, process.create_time(), 5.0, str(scratch))
    return dataclasses.replace(server, **changes)


def test_an_announced_server_is_found_at_its_port_and_forgotten_afterwards(scratch: Path) -> None:
    me = psutil.Process()
    with announced(PORT, 12.5, scratch):
        server = find(PORT)
        assert server == RunningServer(me.pid, me.create_time(), 12.5, str(scratch))
        assert server.process() == me
        assert find(PORT + 1) is None
    assert find(PORT) is None
    assert not scratch.exists()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(RunningServer)])
def test_a_file_with_a_value_of_another_type_is_none_of_ours(
    scratch: Path, state_home: Path, field: str
) -> None:
    with announced(PORT, 5, scratch):
        [file] = state_home.rglob(f"*{PORT}*")
        file.write_text(json.dumps({**json.loads(file.read_text()), field: None}))
        assert find(PORT) is None


def test_only_directories_of_servers_are_removed(tmp_path: Path) -> None:
    """Whatever the file says."""
    precious = tmp_path / "precious"
    precious.mkdir()
    with announced(PORT, 5, precious):
        pass
    assert precious.exists()


def test_a_server_that_fails_is_forgotten_too(scratch: Path) -> None:
    with pytest.raises(ZeroDivisionError), announced(PORT, 5, scratch):
        1 // 0  # noqa: B018
    assert find(PORT) is None
    assert not scratch.exists()


def test_forgetting_cleans_up_after_a_killed_server_and_does_nothing_twice(scratch: Path) -> None:
    block = announced(PORT, 5, scratch)
    block.__enter__()  # and nothing leaves it
    forget(PORT)
    assert find(PORT) is None
    assert not scratch.exists()
    forget(PORT)


def test_only_the_user_may_look_into_the_directory(state_home: Path, scratch: Path) -> None:
    with announced(PORT, 5, scratch):
        [directory] = state_home.iterdir()
        assert directory.stat().st_mode & 0o777 == 0o700
        assert [file.name for file in directory.iterdir()] == ["serving_8866.json"]


def test_a_running_process_is_ours_by_id_and_start(other: psutil.Popen, scratch: Path) -> None:
    process = server_of(other, scratch).process()
    assert process is not None
    assert process.pid == other.pid


def test_another_process_with_the_same_id_is_not_ours(other: psutil.Popen, scratch: Path) -> None:
    assert server_of(other, scratch, created=other.create_time() - 60).process() is None
    assert other.is_running()


def test_a_server_of_an_older_version_is_found_whatever_it_is_called(
    other: psutil.Popen, scratch: Path, state_home: Path
) -> None:
    """Its file has two fields more; gunicorn renames itself where setproctitle is installed."""
    with announced(PORT, 5, scratch):
        [file] = state_home.rglob(f"*{PORT}*")
    server = server_of(other, scratch)
    more = {"command": ["clas-serving", "start"], "host": "127.0.0.1"}
    file.write_text(json.dumps({**dataclasses.asdict(server), **more}))
    assert find(PORT) == server
    assert server.process() is not None


def test_a_server_leaves_alone_what_another_at_its_port_has_noted_since(
    scratch: Path, other: psutil.Popen, state_home: Path
) -> None:
    with announced(PORT, 5, scratch):
        [file] = state_home.rglob(f"*{PORT}*")
        later = server_of(other, scratch)
        file.write_text(json.dumps(dataclasses.asdict(later)))
    assert find(PORT) == later
    assert scratch.exists()


def test_a_process_that_is_gone_is_not_there(other: psutil.Popen, scratch: Path) -> None:
    server = server_of(other, scratch)
    other.kill()
    wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE)
    assert server.process() is None
    other.wait()
    assert server.process() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b"\xff",
        b"{}",
        b'{"pid": 1}',
        b'{"pid": 1, "created": 0, "graceful_timeout_s": 1, "scratch": ""}',
    ],
)
def test_a_damaged_file_counts_as_none_and_is_taken_away(
    state_home: Path, scratch: Path, content: bytes
) -> None:
    with announced(PORT, 5, scratch):
        [directory] = state_home.iterdir()
    file = directory / f"serving_{PORT}.json"
    file.write_bytes(content)
    assert find(PORT) is None
    forget(PORT)
    assert not file.exists()


def test_a_server_that_cannot_announce_itself_runs_all_the_same(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "no_directory").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "no_directory"))
    with caplog.at_level(logging.WARNING, "clas_system"), announced(PORT, 5, scratch):
        assert find(PORT) is None
    assert "`stop -p 8866` won't find this server" in caplog.text


def test_a_new_server_takes_the_place_of_what_a_killed_one_left(scratch: Path, state_home: Path) -> None:
    with announced(PORT, 5, scratch):
        [directory] = state_home.iterdir()
        old = find(PORT)
    assert old is not None
    (directory / f"serving_{PORT}.json").write_text(json.dumps(dataclasses.asdict(old) | {"pid": 1}))
    with announced(PORT, 5, scratch):
        assert find(PORT) == old


def test_a_worker_that_leaves_by_the_same_way_forgets_nothing(repository: Path, scratch: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS_IN_THE_BLOCK, str(scratch)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["known", "known", "forgotten"]
