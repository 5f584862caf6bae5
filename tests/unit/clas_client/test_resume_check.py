from pathlib import Path

import pytest

from clas.commandline.appended_file import OutputError
from clas_client.resume_check import check_settings, note_settings

SETTINGS = {"image_file": "/images", "wire": "float32", "top_k": None, "model's name": "tiny"}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "results.csv").touch()
    return tmp_path / "results.csv"


def test_the_same_settings_and_no_results_are_fine(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    note_settings(output, SETTINGS)
    check_settings(output, SETTINGS)
    check_settings(output.with_name("other.csv"), SETTINGS)
    assert not caplog.records


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"wire": "encoded"}, r"another wire \(float32; now it is encoded\): name another --output"),
        ({"top_k": 5}, r"another top_k \(None; now it is 5\)"),
        ({"model's name": "large"}, r"another model's name \(tiny; now it is large\)"),
        ({"image_file": "/others"}, r"another image_file \(/images; now it is /others\)"),
    ],
)
def test_other_settings_are_refused(output: Path, changed: dict[str, object], message: str) -> None:
    note_settings(output, SETTINGS)
    with pytest.raises(OutputError, match=message):
        check_settings(output, {**SETTINGS, **changed})


def test_a_service_that_no_longer_describes_its_model_is_refused(output: Path) -> None:
    note_settings(output, SETTINGS)
    untold = {name: SETTINGS[name] for name in ("image_file", "wire", "top_k")}
    with pytest.raises(
        OutputError, match="that the service doesn't describe now: try again when it is ready"
    ):
        check_settings(output, untold)


def test_what_was_not_told_before_is_known_from_now_on(output: Path) -> None:
    untold = {name: SETTINGS[name] for name in ("image_file", "wire", "top_k")}
    note_settings(output, untold)
    assert check_settings(output, untold) == untold
    assert check_settings(output, SETTINGS) == SETTINGS
    note_settings(output, {**SETTINGS, "of an earlier version": 1})
    assert check_settings(output, SETTINGS) == {**SETTINGS, "of an earlier version": 1}


@pytest.mark.parametrize("content", [None, b"", b'{"wire": "enc', b"[]"])
def test_without_notes_resuming_only_warns(
    output: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    if content is not None:
        output.with_name("results.csv.run.json").write_bytes(content)
    check_settings(output, SETTINGS)
    assert "the settings it was made with are unknown: " in caplog.text


def test_notes_that_can_not_be_read_are_an_error(output: Path) -> None:
    output.with_name("results.csv.run.json").mkdir()
    with pytest.raises(OutputError, match="can't be read: Is a directory"):
        check_settings(output, SETTINGS)
