import os
import runpy
import time
from pathlib import Path

import pytest

from clas.commandline.trial.process import run_in_process
from clas.errors import PredictionError, SettingsError
from clas.settings import load_settings


def test_the_result_comes_back_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_in_process(os.write, 1, b"from C\n") == 7
    assert capfd.readouterr() == ("", "")


def test_an_error_of_ours_is_raised_as_it_is() -> None:
    with pytest.raises(SettingsError, match="unknown name 'nothing'"):
        run_in_process(load_settings, {"nothing": 1})


@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (int, "x", r"ValueError: invalid literal for int\(\) with base 10: 'x'"),
    ],
)
def test_any_other_end_is_a_failed_prediction(function: object, argument: object, message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        run_in_process(function, argument)  # type: ignore[arg-type]


def test_an_early_exit_is_a_failed_prediction(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os\nos._exit(3)\n")
    with pytest.raises(PredictionError, match="the process that ran it has ended with status 3"):
        run_in_process(runpy.run_path, str(script))


def test_what_never_ends_is_ended() -> None:
    with pytest.raises(PredictionError, match=r"the process that ran it hasn't come to an end in 0\.5 s"):
        run_in_process(time.sleep, 3600, limit_s=0.5)


def test_a_crash_is_told_by_its_signal() -> None:
    with pytest.raises(PredictionError, match="the process that ran it was ended by SIGABRT"):
        run_in_process(os.abort)
