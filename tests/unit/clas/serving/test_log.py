import json
import logging
import re
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
