import json
import logging
import os
import re
from pathlib import Path

import pytest

from clas.serving.log import set_up_log
from clas.serving.options import ServerOptions
from clas.serving.process.control import Facts
from clas.serving.process.parent_log import ParentLog

pytestmark = pytest.mark.usefixtures("logger_as_it_was")


def facts_of(log_file: str = "", log_format: str = "text", log_level: str = "info") -> Facts:
    return Facts(
        workers=1,
        timeout_s=1,
        graceful_timeout_s=1,
        scratch="",
        pidfile="",
        log_format=log_format,
        log_level=log_level,
        log_file=log_file,
    )


def without_time(line: str) -> object:
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    shortened, count = re.subn(stamp, "", line)
    assert count == 1
    return json.loads(shortened) if line.startswith("{") else shortened


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_of_the_parents_looks_like_one_of_the_servers(tmp_path: Path, log_format: str) -> None:
    file = tmp_path / "log"
    set_up_log(ServerOptions(log_file=str(file), log_format=log_format))
    logging.getLogger("clas_system").warning('it\'s "so": 金鱼')
    log = ParentLog()
    log.follow(facts_of(str(file), log_format))
    log.write("warning", 'it\'s "so": 金鱼')
    servers, parents = file.read_text(encoding="utf-8").splitlines()
    assert without_time(servers) == without_time(parents)


def test_it_goes_to_stderr_until_the_server_has_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ParentLog()
    log.write("debug", "too much")
    log.write("info", "first")
    log.follow(facts_of(str(tmp_path / "log"), log_level="error"))
    log.write("info", "too much")
    log.write("error", "second")
    assert capsys.readouterr().err.endswith(f"[    INFO] - clas_system [{os.getpid()}] -: first\n")
    assert (tmp_path / "log").read_text().endswith(": second\n")
    assert "too much" not in (tmp_path / "log").read_text()


def test_a_line_that_cannot_be_written_is_lost(tmp_path: Path) -> None:
    log = ParentLog()
    log.follow(facts_of(str(tmp_path / "none" / "log")))
    log.write("error", "nowhere")
