from pathlib import Path

import pytest

from clas_client.appended_file import OutputError
from clas_client.run_settings import ask_for_model, check_settings, note_settings
from clas_client.sender import Sender
from scripted_service import Reply, scripted_service

SETTINGS = {"image_file": "/pictures", "wire": "float32", "top_k": None, "model's name": "tiny"}


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
        ({"image_file": "/others"}, r"another image_file \(/pictures; now it is /others\)"),
    ],
)
def test_other_settings_are_refused(output: Path, changed: dict[str, object], message: str) -> None:
    note_settings(output, SETTINGS)
    with pytest.raises(OutputError, match=message):
        check_settings(output, {**SETTINGS, **changed})


def test_a_service_that_tells_nothing_more_of_its_model_is_refused(output: Path) -> None:
    note_settings(output, SETTINGS)
    untold = {name: SETTINGS[name] for name in ("image_file", "wire", "top_k")}
    with pytest.raises(
        OutputError, match="of which the service tells nothing now: try again when it is ready"
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
def test_without_notes_it_goes_on_with_a_warning(
    output: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    if content is not None:
        output.with_name("results.csv.run.json").write_bytes(content)
    check_settings(output, SETTINGS)
    assert "what it was made with can't be checked: " in caplog.text


def test_notes_that_can_not_be_read_are_an_error(output: Path) -> None:
    output.with_name("results.csv.run.json").mkdir()
    with pytest.raises(OutputError, match="can't be read: Is a directory"):
        check_settings(output, SETTINGS)


def ask(front: Reply, path: str = "/predict/clas_system") -> object:
    with scripted_service(front=front) as service:
        url = service.url.replace("/predict/clas_system", path)
        return ask_for_model(Sender(url, 10, 0), url)


def test_a_standalone_server_tells_its_model() -> None:
    model = {"name": "tiny", "input_shape": [-1, 3, 32, 32], "classes": 6, "top_k": 5, "threads": 2}
    told = {f"model's {name}": model[name] for name in ("name", "input_shape", "classes", "top_k")}
    assert ask(Reply({"model": model})) == told
    assert ask(Reply({"model": model}), "/behind/predict/clas_system/") == told


@pytest.mark.parametrize(
    "front", [Reply(b"<html>", 200, "text/html"), Reply({"model": None}), Reply([1]), Reply({"msg": ""}, 401)]
)
def test_what_does_not_tell_is_unknown(front: Reply) -> None:
    assert ask(front) == {}


def test_a_server_that_is_not_there_is_unknown() -> None:
    with scripted_service() as service:
        url = service.url
    assert ask_for_model(Sender(url, 10, 0), url) == {}
