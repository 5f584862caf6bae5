"""The parent with scripted children: real processes that tell what a server tells, and die by a plan."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gates import wait_until

CHILD = """
import json, os, signal, socket, sys, time
from pathlib import Path
from clas.serving.process.control import Facts, adopt

control = adopt()
folder = Path(sys.argv[1])
steps = (folder / "plan").read_text().splitlines()
number = len(list(folder.glob("started_*")))
listener = control.listener or socket.create_server(("127.0.0.1", 0))
told = [os.getpid(), control.restarts, control.takes_over, listener.getsockname()[1]]
(folder / "new").write_text(json.dumps(told))
(folder / "new").rename(folder / f"started_{number}")
scratch = folder / f"scratch_{number}"
scratch.mkdir()
facts = Facts(1, 0.1, 0.1, str(scratch), str(folder / "pidfile"), "text", "info", "")

def stop(*_):
    (folder / f"stopped_{number}").touch()
    os._exit(0)

def serve(with_beats=True):
    while True:
        if with_beats:
            control.beat()
        time.sleep(0.02)

for step in steps[min(number, len(steps) - 1)].split():
    name, _, value = step.partition("=")
    if name == "listen":
        (folder / "pidfile").touch()
        control.listening(facts, listener)
    elif name == "ready":
        control.ready()
        (folder / f"ready_{number}").touch()
    elif name == "exit":
        os._exit(int(value))
    elif name == "die":
        os.kill(os.getpid(), int(value))
    elif name == "until":
        while not (folder / value).exists():
            control.beat()
            time.sleep(0.01)
    elif name == "stoppable":
        signal.signal(signal.SIGTERM, stop)
        (folder / f"stoppable_{number}").touch()
    elif name == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif name == "serve":
        serve()
    elif name == "hang":
        serve(with_beats=False)
    elif name == "orphan":
        if not os.fork():
            if os.fork():
                os._exit(0)
            (folder / "orphan").write_text(str(os.getpid()))
            os._exit(0)
"""
PARENT = """
import ctypes, sys
from clas.serving.process import child, parent
from clas.serving.process.backoff import Backoff
from clas.serving.process.parent import Parent
child._BEAT_SLACK_S = child._STOP_SLACK_S = 1.0  # a busy machine is late, too
parent._TICK_S, parent._LATE_S = 0.1, 0.3
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: as process 1 of a container
sys.exit(Parent([sys.executable, *sys.argv[1:]], Backoff(0.05, 0.2)).run())
"""
SERVES = "stoppable listen ready serve"


class Family:
    """A parent whose children follow a plan, a line each; the last line is for all that follow."""

    def __init__(self, folder: Path, plan: tuple[str, ...], **popen: Any) -> None:
        self.folder = folder
        (folder / "plan").write_text("\n".join(plan))
        (folder / "child.py").write_text(CHILD)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PARENT, str(folder / "child.py"), str(folder)],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[5])},
                **popen,
            )

    def child(self, number: int) -> tuple[int, int, bool, int]:
        """Process id, restarts, whether it takes over, and port of the child of this number."""
        file = self.folder / f"started_{number}"
        wait_until(file.exists)
        pid, restarts, takes_over, port = json.loads(file.read_text())
        return pid, restarts, takes_over, port

    @property
    def count(self) -> int:
        return len(list(self.folder.glob("started_*")))

    def says(self, words: str) -> None:
        wait_until(lambda: words in self.log.read_text())

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        self.tell(signal.SIGTERM)
        return self.process.wait(10)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    families: list[Family] = []

    def start(*plan: str, **popen: Any) -> Family:
        families.append(Family(tmp_path, plan, **popen))
        return families[-1]

    yield start
    for one in families:
        pids = [one.process.pid, *(one.child(number)[0] for number in range(one.count))]
        one.process.kill()
        one.process.wait()
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_that_dies_is_followed_at_once_by_one_with_the_same_socket(
    family: Callable[..., Family], tmp_path: Path
) -> None:
    one = family(SERVES)
    pid, restarts, takes_over, port = one.child(0)
    assert (restarts, takes_over) == (0, False)
    wait_until((tmp_path / "ready_0").exists)
    os.kill(pid, signal.SIGKILL)
    _, restarts, takes_over, next_port = one.child(1)
    assert (restarts, takes_over, next_port) == (1, False, port)
    one.says(f"the server's process {pid} was ended by SIGKILL: it is started again in 0 s")
    assert not (tmp_path / "scratch_0").exists()
    assert one.end() == 0
    assert one.count == 2
    assert not (tmp_path / "pidfile").exists()


def test_children_that_go_on_dying_are_started_later_and_later_until_one_serves(
    family: Callable[..., Family],
) -> None:
    """Also those that can't start any more: once one was ready, the parent doesn't give up."""
    one = family("listen ready die=11", "exit=1", "listen die=6", "listen ready exit=3", "die=9", SERVES)
    assert one.child(5)[1] == 5
    waits = re.findall(r"process \d+ (.*): it is started again in (.*) s", one.log.read_text())
    assert waits == [
        ("was ended by SIGSEGV", "0"),
        ("has ended with status 1", "0.05"),
        ("was ended by SIGABRT", "0.1"),
        ("has ended with status 3", "0.2"),
        ("was ended by SIGKILL", "0.2"),
    ]
    assert one.end() == 0


@pytest.mark.parametrize("steps", ["", "listen "])
def test_a_crash_before_anyone_was_ready_ends_the_start(family: Callable[..., Family], steps: str) -> None:
    one = family(f"{steps}die=11")
    assert one.process.wait(10) == 1
    assert one.count == 1
    pid = one.child(0)[0]
    [line] = one.log.read_text().splitlines()
    assert line.endswith(f"process {pid} was ended by SIGSEGV before it was ever ready: giving up")


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_child_that_ends_its_start_itself_has_said_why(family: Callable[..., Family], status: int) -> None:
    one = family(f"listen exit={status}")
    assert one.process.wait(10) == status
    assert one.count == 1
    assert one.log.read_text() == ""


def test_a_server_that_somebody_has_stopped_is_not_started_again(family: Callable[..., Family]) -> None:
    one = family("listen ready exit=0")
    assert one.process.wait(10) == 0
    assert one.count == 1


def test_a_child_without_heartbeats_is_killed_and_followed(family: Callable[..., Family]) -> None:
    one = family("stubborn listen ready hang", SERVES)
    assert one.child(1)[1] == 1
    said = rf"process {one.child(0)[0]} has given no sign of life for \d s: it is killed"
    assert re.search(said, one.log.read_text())
    assert one.end() == 0


def test_while_a_child_loads_nobody_waits_for_heartbeats(family: Callable[..., Family]) -> None:
    one = family("stoppable listen hang")
    one.child(0)
    with pytest.raises(subprocess.TimeoutExpired):
        one.process.wait(1)
    assert one.end() == 0
    assert one.count == 1


def test_a_parent_that_was_held_up_itself_blames_no_child(family: Callable[..., Family]) -> None:
    """As on a machine that slept, or after Ctrl-Z: children and parent stand still, then go on."""
    one = family(SERVES)
    pid, *_ = one.child(0)
    wait_until((one.folder / "ready_0").exists)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for stopped in (one.process.pid, pid):
            os.kill(stopped, number)
        if number == signal.SIGSTOP:
            wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
            signal.sigtimedwait([], 1.8)
    assert one.end() == 0
    assert one.count == 1
    assert "no sign of life" not in one.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("steps", ["", "listen ", "listen ready "])
def test_a_signal_to_the_parent_stops_the_child_in_whatever_state_it_is(
    family: Callable[..., Family], number: signal.Signals, steps: str
) -> None:
    one = family(f"stoppable {steps}serve")
    pid, *_ = one.child(0)
    one.tell(number)
    assert one.process.wait(10) == 0
    assert is_gone(pid)
    assert one.log.read_text() == ""


def test_while_the_next_start_waits_a_signal_ends_the_parent(family: Callable[..., Family]) -> None:
    one = family("listen ready die=9", "exit=1")
    one.says("in 0.2 s")
    assert one.end() == 0


def test_a_child_that_does_not_stop_is_killed_when_its_time_is_up(family: Callable[..., Family]) -> None:
    one = family("stubborn listen ready serve")
    pid, *_ = one.child(0)
    wait_until((one.folder / "ready_0").exists)
    assert one.end() == 1
    one.says(f"the server's process {pid} has not ended in time: it is killed")


def test_the_status_of_a_child_that_fails_to_stop_well_is_the_parents(family: Callable[..., Family]) -> None:
    one = family("stubborn listen ready until=go exit=4")
    one.child(0)
    wait_until((one.folder / "ready_0").exists)  # it ignores SIGTERM by then
    one.tell(signal.SIGTERM)
    (one.folder / "go").touch()
    assert one.process.wait(10) == 4


def test_a_hangup_has_another_child_take_over_when_it_is_ready(family: Callable[..., Family]) -> None:
    one = family(SERVES, "stoppable listen until=loaded ready serve", SERVES)
    first, _, _, port = one.child(0)
    wait_until((one.folder / "ready_0").exists)
    hang_up(one)
    second, restarts, takes_over, next_port = one.child(1)
    assert (restarts, takes_over, next_port) == (0, True, port)
    assert not (one.folder / "stopped_0").exists()
    (one.folder / "loaded").touch()
    one.says(f"process {second} serves now: process {first} stops")
    wait_until((one.folder / "stopped_0").exists)
    wait_until(lambda: not (one.folder / "scratch_0").exists())
    assert (one.folder / "scratch_1").exists()
    os.kill(second, signal.SIGKILL)  # it is looked after as the first one was
    assert one.child(2)[1:3] == (1, False)
    assert one.end() == 0


def hang_up(one: Family, count: int = 1) -> None:
    """Again until the parent has heard that its child listens."""

    def heard() -> int:
        return one.log.read_text().count("SIGHUP")

    while one.log.read_text().count("starts, to serve when it is ready") < count:
        before = heard()
        one.tell(signal.SIGHUP)
        wait_until(lambda: heard() > before)  # noqa: B023  # waits here


@pytest.mark.parametrize(
    ("steps", "how"), [("listen exit=1", "has ended with status 1"), ("die=11", "SIGSEGV")]
)
def test_a_hangup_changes_nothing_if_the_new_child_fails(
    family: Callable[..., Family], steps: str, how: str
) -> None:
    one = family(SERVES, steps)
    wait_until((one.folder / "ready_0").exists)
    hang_up(one)
    one.says("SIGHUP has changed nothing")
    assert how in one.log.read_text()
    assert not (one.folder / "stopped_0").exists()
    assert one.end() == 0
    assert one.count == 2
    assert (one.folder / "stopped_0").exists()


def test_a_second_hangup_begins_the_reload_anew(family: Callable[..., Family]) -> None:
    one = family(SERVES, "stoppable listen serve", SERVES)
    wait_until((one.folder / "ready_0").exists)
    hang_up(one)
    wait_until((one.folder / "stoppable_1").exists)
    hang_up(one, 2)
    third, *_ = one.child(2)
    one.says(f"process {third} serves now")
    wait_until((one.folder / "stopped_1").exists)
    assert one.end() == 0


def test_if_the_child_dies_during_a_reload_the_new_one_follows(family: Callable[..., Family]) -> None:
    one = family(SERVES, "stoppable listen until=loaded ready serve")
    first, *_ = one.child(0)
    wait_until((one.folder / "ready_0").exists)
    hang_up(one)
    second, *_ = one.child(1)
    os.kill(first, signal.SIGKILL)
    one.says(f"the server's process {first} was ended by SIGKILL: process {second} follows")
    (one.folder / "loaded").touch()
    assert one.end() == 0
    assert one.count == 2


def test_a_hangup_ends_the_wait_for_the_next_start(family: Callable[..., Family]) -> None:
    one = family("listen ready die=9", *["exit=1"] * 6, SERVES)
    one.child(0)
    one.tell(signal.SIGHUP)
    one.child(7)
    assert one.end() == 0


def test_a_hangup_before_the_server_listens_is_ignored(family: Callable[..., Family]) -> None:
    one = family("stoppable until=go listen ready serve")
    one.child(0)
    one.tell(signal.SIGHUP)
    one.says("SIGHUP is ignored: the server doesn't listen yet")
    (one.folder / "go").touch()
    assert one.end() == 0
    assert one.count == 1


def test_a_child_whose_parent_was_killed_ends(family: Callable[..., Family]) -> None:
    one = family(SERVES)
    pid, *_ = one.child(0)
    one.process.kill()
    one.process.wait()
    wait_until(lambda: is_gone(pid))


def test_what_others_have_left_is_reaped(family: Callable[..., Family]) -> None:
    """The parent is process 1 in a container."""
    one = family(f"orphan {SERVES}")
    wait_until(lambda: (one.folder / "orphan").exists() and (one.folder / "orphan").read_text() != "")
    orphan = int((one.folder / "orphan").read_text())
    wait_until(lambda: not psutil.pid_exists(orphan))
    assert one.end() == 0


@pytest.mark.parametrize("is_detached", [False, True], ids=["plain", "nohup"])
def test_closing_the_terminal_stops_the_server_unless_it_was_started_with_nohup(
    family: Callable[..., Family], is_detached: bool
) -> None:
    ours, theirs = pty.openpty()

    def prepare() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if is_detached else signal.SIG_DFL)

    one = family(SERVES, start_new_session=True, preexec_fn=prepare)
    os.close(theirs)
    wait_until((one.folder / "ready_0").exists)
    os.close(ours)
    if is_detached:
        one.says("SIGHUP")
        assert one.end() == 0
    assert one.process.wait(10) == 0
    assert ("SIGHUP" in one.log.read_text()) is is_detached


def test_the_parent_imports_the_standard_library_only(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # it would import what it needs itself
    code = (
        "import sys; before = set(sys.modules); sys.argv = ['x', 'start']\n"
        "from clas.serving import __main__\n"
        "from clas.serving.process import parent\n"
        "parent.run_parent = lambda: print(sorted(set(sys.modules) - before)) or 5\n"
        "sys.exit(__main__.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 5, done.stderr
    loaded = {name.strip(" []'\n").partition(".")[0] for name in done.stdout.split(",")}
    assert "select" in loaded
    assert loaded <= {*sys.stdlib_module_names, "clas"}
