import dataclasses
import errno
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clas.serving import cli, log
from clas.serving.options import NAMES
from clas.serving.process.pidfile import RunningServer, announce, start_of
from clas.settings import SETTING_NAMES


@pytest.fixture(autouse=True)
def as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line sets up logging and signals, and leaves them to the process's end."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    loggers = [logging.getLogger(name) for name in log._LOGGERS]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    numbers = (signal.SIGTERM, signal.SIGINT)
    handlers_before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, handlers_before, strict=True):
        signal.signal(number, handler)
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_every_option_and_every_setting_has_a_flag_with_a_help_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [commands] = [action for action in cli._parser()._actions if isinstance(action.choices, dict)]
    helps = {action.dest: action.help for action in commands.choices["start"]._actions}  # type: ignore[index]
    assert set(helps) == {*NAMES, *SETTING_NAMES, "config", "modules", "model", "help", "version"}
    assert all(helps.values())
    with pytest.raises(SystemExit, match="0"):
        cli.main(["start", "--help"])
    shown = capsys.readouterr().out
    assert all(f"--{name}" in shown for name in helps)


@pytest.mark.parametrize("arguments", [[], ["begin"], ["start", "--port", "x"], ["start", "--prot", "1"]])
def test_wrong_arguments_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start", "-m", "other"], "-m names other; it takes clas_system, and other models are named by"),
        (["start", "--model", "rose"], "--model is 'rose'; it takes NAME=FOLDER"),
        (["start", "-m", "clas_system", "--host", "192.0.2.1"], "192.0.2.1:8866 can't be listened at"),
        (["start", "-m", "clas_system", "--token_file", "none"], "token_file none can't be read"),
        (["start", "-m", "clas_system", "--log_file", "no/such/log"], "log_file no/such/log can't be opened"),
        (
            ["start", "-m", "clas_system", "--tls_cert_file", "x"],
            "tls_cert_file and tls_key_file go together",
        ),
    ],
)
def test_what_cannot_be_started_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main(arguments) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_without_a_directory_for_temporary_files_it_says_how_to_name_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_directory() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", no_directory)
    assert cli.main(["start", "-m", "clas_system", "-p", "0"]) == 1
    wanted = "there is no directory for temporary files: No usable temporary directory found in ['/tmp']; "
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"{wanted}name one in the variable TMPDIR")


def test_stop_knows_no_server_that_was_never_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stop", "-p", "12345"]) == 1
    assert capsys.readouterr().err == "no server of clas_system was started at port 12345 by this user\n"


@pytest.mark.parametrize(("address", "shown"), [("127.0.0.1", "127.0.0.1:8866"), ("::1", "[::1]:8866")])
def test_status_lists_the_servers_that_are_running_and_health_asks_them(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    address: str,
    shown: str,
) -> None:
    for command in ("status", "health"):
        assert cli.main([command]) == 1
        assert capsys.readouterr().err == "no server of clas_system of this user is running\n"
    pid = os.getpid()
    server = RunningServer(
        pid=pid,
        started=start_of(pid),
        host=address,
        address=address,
        port=8866,
        graceful_timeout_s=1.0,
        scratch=str(tmp_path),
    )
    announce(server)
    announce(dataclasses.replace(server, port=8867, started="in another boot"))  # killed since
    assert cli.main(["status"]) == 0
    where, models = capsys.readouterr().out.splitlines()
    assert where == f"{shown}  process {pid}"
    assert models == f"  process {pid} can't be asked: [Errno 2] No such file or directory"
    told = {8866: (True, "ready"), 8868: (False, "no answer: timed out")}
    monkeypatch.setattr(cli, "health_of", lambda found: told[found.port])
    assert cli.main(["health"]) == 0
    assert capsys.readouterr().out == f"{shown}  ready\n"
    announce(dataclasses.replace(server, port=8868))
    assert cli.main(["health"]) == 1
    assert capsys.readouterr().out.splitlines()[1].endswith(":8868  no answer: timed out")


def test_health_is_cheap_to_ask_for(repository: Path, tmp_path: Path) -> None:
    """A container's health check does so all the time."""
    heavy = "{'cv2', 'starlette', 'uvicorn', 'clas.serving.start'} & set(sys.modules)"
    code = f"import sys; from clas.serving.cli import main; main(['health']); print({heavy})"
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=repository,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"


def test_lists_of_numbers_are_given_with_commas() -> None:
    start = ["start", "-m", "clas_system", "--mean", "0.5,0.4,1", "--resize_size", "192,256", "--scale", "1"]
    args = cli._parser().parse_args(start)
    assert (args.mean, args.resize_size, args.scale) == ([0.5, 0.4, 1], [192, 256], 1)
    assert cli._parser().parse_args(["start", "--resize_size", ""]).resize_size == []
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["start", "--mean", "a,b"])


def test_the_default_port_is_paddlehubs(repository: Path) -> None:
    assert (
        cli._parser().parse_args(["stop"]).port
        == json.loads((repository / "config.json").read_text())["port"]
    )
