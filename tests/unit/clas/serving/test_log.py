import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clas.errors import RequestError, SettingsError
from clas.serving.http.request_body import read_inputs
from clas.serving.log import REQUEST_ID, set_up_log
from clas.serving.options import ServerOptions

LOGGERS = ("clas_system", "uvicorn", "uvicorn.error", "gunicorn.error")

pytestmark = pytest.mark.usefixtures("logger_as_it_was")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def test_a_line_names_time_level_process_and_request(file: Path) -> None:
    set_up_log(ServerOptions(log_file=str(file)))
    logger = logging.getLogger("clas_system")
    logger.info("the %s", "start")
    token = REQUEST_ID.set("abc-1")
    logger.error("金鱼")
    REQUEST_ID.reset(token)
    first, second = lines(file)
    stamp = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]"
    assert re.fullmatch(rf"{stamp} \[    INFO\] - clas_system \[\d+\] -: the start", first)
    assert re.fullmatch(rf"{stamp} \[   ERROR\] - clas_system \[\d+\] abc-1: 金鱼", second)


def test_a_json_line_holds_the_same_and_keeps_a_traceback_together(file: Path) -> None:
    set_up_log(ServerOptions(log_file=str(file), log_format="json"))
    logger = logging.getLogger("clas_system")
    token = REQUEST_ID.set("abc-1")
    try:
        1 // 0  # noqa: B018
    except ZeroDivisionError:
        logger.exception("it failed:\nso")
    REQUEST_ID.reset(token)
    [line] = lines(file)
    record = json.loads(line)
    assert record.pop("exc_info").startswith("Traceback")
    assert re.match(r"\d{4}-\d\d-\d\d", record.pop("time"))
    assert record.pop("process") > 0
    assert record == {
        "level": "ERROR",
        "logger": "clas_system",
        "request_id": "abc-1",
        "message": "it failed:\nso",
    }


def test_without_a_file_the_log_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log(ServerOptions())
    logging.getLogger("clas_system").info("here")
    assert capsys.readouterr().err.endswith(" -: here\n")


@pytest.mark.parametrize(
    ("level", "shown", "shown_of_libraries"),
    [
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR"], ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ("info", ["INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("error", ["ERROR"], ["ERROR"]),
    ],
)
def test_libraries_are_quiet_unless_all_is_asked_for(
    file: Path, level: str, shown: list[str], shown_of_libraries: list[str]
) -> None:
    set_up_log(ServerOptions(log_file=str(file), log_level=level))
    for name in ("clas_system", "uvicorn.error"):
        for number in (10, 20, 30, 40):
            logging.getLogger(name).log(number, "of %s", name)
    log = lines(file)
    for name, wanted in (("clas_system", shown), ("uvicorn.error", shown_of_libraries)):
        levels = [re.findall(r"\[ *([A-Z]+)\]", line)[0] for line in log if line.endswith(f"of {name}")]
        assert levels == wanted


def test_bad_forms_are_not_logged_by_the_library_that_reads_them(caplog: pytest.LogCaptureFixture) -> None:
    set_up_log(ServerOptions())
    with pytest.raises(RequestError, match="No boundary given"):
        read_inputs("multipart/form-data", b"x", None, 1)
    assert caplog.records == []


def test_all_loggers_share_the_handler_and_nothing_is_logged_twice(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_log(ServerOptions())
    handler = set_up_log(ServerOptions(log_file=str(file)))
    for name in LOGGERS:
        logging.getLogger(name).warning("once")
        assert logging.getLogger(name).handlers == [handler]
    assert len(lines(file)) == len(LOGGERS)
    assert capsys.readouterr().err == ""


def test_the_log_goes_on_in_a_new_file_when_the_old_one_was_moved_away(file: Path) -> None:
    set_up_log(ServerOptions(log_file=str(file)))
    logger = logging.getLogger("clas_system")
    logger.info("first")
    file.rename(file.with_suffix(".1"))
    logger.info("second")
    assert [line[-6:] for line in lines(file)] == ["second"]
    assert [line[-5:] for line in lines(file.with_suffix(".1"))] == ["first"]


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "log"
    with pytest.raises(SettingsError, match=rf"log_file {missing} can't be opened: No such file"):
        set_up_log(ServerOptions(log_file=str(missing)))


def test_a_log_that_cannot_be_written_is_told_in_one_line_whatever_is_lost(
    capfd: pytest.CaptureFixture[str],
) -> None:
    set_up_log(ServerOptions(log_file="/dev/full"))
    logger = logging.getLogger("clas_system")
    for _ in range(50):
        logger.info("lost")
    assert capfd.readouterr().err == "the log can't be written: [Errno 28] No space left on device\n"


def test_it_is_told_again_after_a_minute(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_log(ServerOptions(log_file="/dev/full"))
    for now in (1000.0, 1059.0, 1061.0):
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        logging.getLogger("clas_system").info("lost")
    monkeypatch.undo()
    assert capfd.readouterr().err.count("the log can't be written") == 2


def test_a_log_whose_directory_has_gone_harms_no_request(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    set_up_log(ServerOptions(log_file=str(directory / "log")))
    (directory / "log").unlink()
    directory.rmdir()
    logging.getLogger("clas_system").info("lost")
    assert capfd.readouterr().err.startswith("the log can't be written: [Errno 2] No such file or directory")
    directory.mkdir()
    logging.getLogger("clas_system").info("there again")
    assert (directory / "log").read_text().endswith("there again\n")


def test_without_stderr_lines_are_lost_in_silence() -> None:
    """Such as a full disk that stderr is redirected to."""
    code = (
        "import logging, sys; from clas.serving.log import set_up_log; from clas.serving.options import "
        "ServerOptions; set_up_log(ServerOptions()); logging.getLogger('clas_system').info('x'); sys.exit(5)"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stderr=full, check=False)
    assert done.returncode == 5
