import dataclasses
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from clas.serving.process.pidfile import RunningServer, announce, find, forget, start_of
from gates import wait_until

PORT = 8866


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
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def server_of(pid: int, scratch: Path, **changes: Any) -> RunningServer:
    server = RunningServer(
        pid=pid,
        started=start_of(pid),
        host="localhost",
        address="127.0.0.1",
        port=PORT,
        graceful_timeout_s=5.0,
        scratch=str(scratch),
    )
    return dataclasses.replace(server, **changes)


def test_an_announced_server_is_found_at_its_port_until_it_is_forgotten(scratch: Path) -> None:
    server = server_of(os.getpid(), scratch)
    announce(server)
    assert find(PORT) == [server]
    assert server.is_running
    assert find(PORT + 1) == find(886) == []
    forget(server)
    assert find(PORT) == []
    assert not scratch.exists()
    forget(server)


def test_servers_at_several_addresses_share_a_port(tmp_path: Path, scratch: Path) -> None:
    servers = [
        server_of(os.getpid(), scratch if address == "::1" else tmp_path, address=address)
        for address in ("127.0.0.1", "127.0.0.2", "::1")
    ]
    for server in servers:
        announce(server)
    assert sorted(find(PORT), key=servers.index) == servers
    forget(servers[1])
    assert sorted(find(PORT), key=servers.index) == [servers[0], servers[2]]
    assert scratch.exists()


def test_the_clock_may_be_set_while_a_server_runs(
    other: subprocess.Popen[bytes], scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psutil adds the ticks of the start to the time of the boot, which is another one then."""
    server = server_of(other.pid, scratch)
    booted = psutil.boot_time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted + 60)
    assert server.is_running


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(RunningServer)])
def test_a_file_with_a_value_of_another_type_is_none_of_ours(scratch: Path, field: str) -> None:
    server = server_of(os.getpid(), scratch)
    announce(server)
    server.file.write_text(json.dumps({**dataclasses.asdict(server), field: None}))
    assert find(PORT) == []


def test_only_directories_of_servers_are_removed(tmp_path: Path) -> None:
    """Whatever the file says."""
    precious = tmp_path / "precious"
    precious.mkdir()
    server = server_of(os.getpid(), precious)
    announce(server)
    forget(server)
    assert precious.exists()


def test_only_the_user_may_look_into_the_directory(state_home: Path, scratch: Path) -> None:
    announce(server_of(os.getpid(), scratch))
    [directory] = state_home.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in directory.iterdir()] == ["serving_8866_127.0.0.1.json"]


def test_another_process_with_the_same_id_is_not_ours(other: subprocess.Popen[bytes], scratch: Path) -> None:
    boot, ticks = start_of(other.pid).split()
    assert server_of(other.pid, scratch).is_running
    assert not server_of(other.pid, scratch, started=f"{boot} {int(ticks) - 1}").is_running
    assert not server_of(other.pid, scratch, started=f"another-boot {ticks}").is_running


def test_a_process_that_is_gone_is_not_there(other: subprocess.Popen[bytes], scratch: Path) -> None:
    server = server_of(other.pid, scratch)
    other.kill()
    wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE)
    assert not server.is_running
    other.wait()
    assert not server.is_running


def test_elsewhere_than_on_linux_a_process_is_known_by_the_time_of_its_start(
    other: subprocess.Popen[bytes], scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "LINUX", False)
    server = server_of(other.pid, scratch)
    assert server.is_running
    assert not dataclasses.replace(server, started="1.5").is_running
    other.kill()
    other.wait()
    assert not server.is_running


def test_a_server_leaves_alone_what_another_at_its_address_has_noted_since(
    scratch: Path, other: subprocess.Popen[bytes]
) -> None:
    server = server_of(os.getpid(), scratch)
    announce(server)
    later = server_of(other.pid, scratch)
    announce(later)
    forget(server)
    assert find(PORT) == [later]
    assert scratch.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"null", b"\xff", b"{}", b'{"pid": 1}'])
def test_a_damaged_file_counts_as_none_and_a_new_server_takes_its_place(
    scratch: Path, content: bytes
) -> None:
    server = server_of(os.getpid(), scratch)
    announce(server)
    server.file.write_bytes(content)
    assert find(PORT) == []
    announce(server)
    assert find(PORT) == [server]


def test_a_server_that_cannot_announce_itself_runs_all_the_same(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "no_directory").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "no_directory"))
    with caplog.at_level(logging.WARNING, "clas_system"):
        announce(server_of(os.getpid(), scratch))
    assert find(PORT) == []
    assert "`stop -p 8866` won't find this server" in caplog.text


def test_a_new_server_cleans_up_after_one_that_was_killed(
    scratch: Path, tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    announce(server_of(other.pid, scratch))
    other.kill()
    other.wait()
    server = server_of(os.getpid(), tmp_path)
    announce(server)
    assert find(PORT) == [server]
    assert not scratch.exists()
