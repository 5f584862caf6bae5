import pytest

from clas.commandline.terminal import run_to_status
from clas.errors import SettingsError


def raising(exc: BaseException) -> int:
    raise exc


@pytest.mark.parametrize(
    ("exc", "status", "logged"),
    [
        (SettingsError("topk is 0"), 1, ["SettingsError: topk is 0"]),
        (KeyboardInterrupt(), 130, []),
        (BrokenPipeError(), 1, []),
    ],
)
def test_what_ends_a_command_is_its_status(
    caplog: pytest.LogCaptureFixture, exc: BaseException, status: int, logged: list[str]
) -> None:
    assert run_to_status(lambda: raising(exc)) == status
    assert caplog.messages == logged


def test_a_command_has_the_status_of_its_work() -> None:
    assert run_to_status(lambda: 3) == 3
