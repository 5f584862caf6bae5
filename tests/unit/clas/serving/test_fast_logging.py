import logging

import pytest

from clas.serving.fast_logging import shorten_log_records


def test_records_lack_what_no_line_shows_and_have_all_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("_srcfile", "logThreads", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, getattr(logging, name))  # as they were, after the test
    shorten_log_records()
    with caplog.at_level(logging.INFO, "clas_system"):
        logging.getLogger("clas_system").info("the %s", "message")
        try:
            1 // 0  # noqa: B018
        except ZeroDivisionError:
            logging.getLogger("clas_system").exception("it failed")
    first, second = caplog.records
    assert (first.getMessage(), first.levelname, first.name) == ("the message", "INFO", "clas_system")
    assert first.process  # the log shows it
    assert (first.thread, first.processName, first.lineno) == (None, None, 0)
    assert second.exc_info is not None
