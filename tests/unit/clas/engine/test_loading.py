import threading
import time

import pytest

from clas.engine import loading
from clas.engine.loading import logged_while_loading
from gates import wait_until


def test_what_takes_long_is_said_again_and_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_INTERVAL_S", 0.01)
    with logged_while_loading("paddle"):
        wait_until(lambda: len(caplog.records) > 2)
    count = len(caplog.records)
    assert caplog.records[0].getMessage() == "still loading the model with paddle, after 0 s"
    time.sleep(0.05)
    assert len(caplog.records) == count


def test_what_is_soon_done_or_fails_is_not_mentioned_and_leaves_no_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(KeyError), logged_while_loading("paddle"):
        raise KeyError
    assert not caplog.records
    assert "loading" not in {thread.name for thread in threading.enumerate()}
