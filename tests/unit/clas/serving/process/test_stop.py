import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clas.serving.process import stop as module
from clas.serving.process.pidfile import RunningServer, announce, find, start_of
from clas.serving.process.stop import stop

PORT = 8866
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def announced(
    processes: list[subprocess.Popen[bytes]],
    address: str = "127.0.0.1",
    code: str = "print(flush=True); input()",
) -> RunningServer:
    """A process that waits, and a file that calls it a server."""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    processes.append(process)
    assert process.stdout
    process.stdout.readline()
    server = RunningServer(
        pid=process.pid,
        started=start_of(process.pid),
        host="localhost" if address == "127.0.0.1" else address,
        address=address,
        port=PORT,
        graceful_timeout_s=0.1,
        scratch="",
    )
    announce(server)
    return server


def test_the_only_server_at_a_port_needs_no_address(processes: list[subprocess.Popen[bytes]]) -> None:
    announced(processes)
    assert stop(PORT) == (True, "the server at port 8866 has stopped")
    assert processes[0].wait() == -signal.SIGTERM
    assert find(PORT) == []
    assert stop(PORT) == (False, "no server of clas_system was started at port 8866 by this user")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_of_several_at_a_port_one_is_named(processes: list[subprocess.Popen[bytes]], host: str) -> None:
    servers = [announced(processes, address) for address in ("127.0.0.1", "127.0.0.2")]
    wanted = "there are 2 servers at port 8866: add --host 127.0.0.1 or --host 127.0.0.2"
    assert stop(PORT) == (False, wanted)
    assert all(server.is_running for server in servers)
    assert stop(PORT, "127.0.0.3")[0] is False
    assert stop(PORT, host) == (True, f"the server at port 8866 of {host} has stopped")
    assert find(PORT) == servers[1:]
    assert stop(PORT)[0]


def test_one_that_was_killed_is_cleaned_up_beside_one_that_runs(
    processes: list[subprocess.Popen[bytes]],
) -> None:
    gone, running = (announced(processes, address) for address in ("127.0.0.1", "127.0.0.2"))
    processes[0].kill()
    processes[0].wait()
    assert stop(PORT, "127.0.0.1") == (
        True,
        "the server at port 8866 of 127.0.0.1 was gone already; its files are cleaned up",
    )
    announce(gone)
    assert stop(PORT)[0]
    assert not running.is_running
    assert find(PORT) == []


def test_a_server_that_does_not_end_in_time_is_told(
    processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLACK_S", 0.1)
    server = announced(processes, code=STUBBORN)
    assert stop(PORT) == (False, f"process {server.pid} at port 8866 has not ended within 0.2 s")
    assert find(PORT) == [server]


@pytest.mark.parametrize("error", [PermissionError, ProcessLookupError])
def test_a_process_that_cannot_be_told_is_another_users_or_has_just_ended(
    processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    server = announced(processes)

    kill = os.kill

    def end_and_fail(pid: int, _: int) -> None:
        kill(pid, signal.SIGKILL)
        processes[0].wait()
        raise error

    monkeypatch.setattr(os, "kill", end_and_fail)
    is_gone, sentence = stop(PORT)
    assert is_gone is (error is ProcessLookupError)
    assert ("belongs to another user" in sentence) is not is_gone
    assert find(PORT) == ([] if is_gone else [server])
