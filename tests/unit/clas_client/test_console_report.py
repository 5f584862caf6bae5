from pathlib import Path

import pytest

from clas.output.base import Prediction
from clas_client.console_report import ConsoleReport
from clas_client.image_count import ImageCount
from clas_client.sender import Answer
from scripted_service import predictions


def console(images: Path = Path("a.png"), **flags: bool) -> ConsoleReport:
    count = ImageCount(images)
    count.wait(10)
    return ConsoleReport(count, **flags)


def answer(images: int, elapse_s: float = 0.5, latency_s: float = 1.0, score: float = 0.75) -> Answer:
    return Answer(predictions(images, score=score)["prediction"], elapse_s, latency_s)


def test_each_image_has_its_line_and_the_averages_divide_by_the_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = console()
    report.add(["a.png", "b.png", "c.png"], answer(3, 0.3, 0.9, score=0.8))
    report.add(["d.png"], answer(1, 0.1, 0.3, score=0.4))
    report.close()
    results = "The result(s): class_ids: [7, 8], label_names: ['seven', 'eight'], scores: "
    assert capsys.readouterr().out.splitlines() == [
        f"File:a.png, {results}[0.8, 0.125]",
        f"File:b.png, {results}[0.8, 0.125]",
        f"File:c.png, {results}[0.8, 0.125]",
        f"File:d.png, {results}[0.4, 0.125]",
        "The average time of prediction cost: 0.100 s/image",
        "The average time cost: 0.300 s/image",
        "The average top-1 score: 0.700",
    ]


def test_failures_do_not_count_in_the_averages_and_leave_stdout_alone(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    report = console()
    report.fail(["broken.png"], "damaged")
    report.fail(["a", "b", "c"], "refused")
    report.add(["good.png"], answer(1, 0.25, 0.5))
    report.close()
    printed = capsys.readouterr()
    out = printed.out.splitlines()
    assert len(out) == 4
    assert out[1] == "The average time of prediction cost: 0.250 s/image"
    assert printed.err == "5 files: 1 answered, 4 failed\n"
    assert [record.getMessage() for record in caplog.records] == [
        "broken.png: damaged",
        "a ... c (3 images): refused",
    ]
    assert (report.num_failed, report.num_answered) == (4, 1)


def test_without_an_answer_there_are_no_averages(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    console().close()
    assert capsys.readouterr().out == ""
    assert "no image was answered" in caplog.text


def test_an_image_that_the_service_could_not_decode_is_a_failure(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    report = console()
    broken: Prediction = {"class_ids": [], "scores": [], "label_names": [], "error": "damaged"}
    report.add(["a", "b"], Answer([broken, *answer(1).predictions], 1, 1))
    report.close()
    out = capsys.readouterr().out
    assert [line.partition(",")[0] for line in out.splitlines()][:1] == ["File:b"]
    assert "The average time of prediction cost: 1.000 s/image" in out
    assert caplog.messages == ["a: damaged"]
    assert (report.num_failed, report.num_answered) == (1, 1)


def test_there_is_a_progress_bar_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda shown=is_terminal: shown)
        report = console()
        report.add(["a"], answer(1))
        report.fail(["b"], "damaged")
        report.close()
        assert ("2/2" in capsys.readouterr().err) is is_terminal


USUAL: Prediction = {"class_ids": [7], "scores": [0.5], "label_names": ["seven"]}
NO_CLASSES: Prediction = {"class_ids": [], "scores": [], "label_names": []}


@pytest.mark.parametrize(
    ("entry", "end"),
    [
        ({**USUAL, "attributes": ["Male"], "output": [1]}, ", attributes: ['Male'], output: [1]"),
        (
            {**USUAL, "groups": {"age": {"label": "old", "class_id": 7, "score": 0.5}}},
            ", groups: {'age': {'label': 'old', 'class_id': 7, 'score': 0.5}}",
        ),
        ({**NO_CLASSES, "value": -2.5}, ", value: -2.5"),
        ({**NO_CLASSES, "feature": [0.5] * 512}, ", feature: a feature of 512 numbers"),
        ({**NO_CLASSES, "feature": "AACAPw=="}, ", feature: a feature of 8 characters of base64"),
    ],
)
def test_what_is_said_besides_classes_ends_the_line(
    entry: Prediction, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = console()
    report.add(["a.png"], Answer([entry], 1, 1))
    assert capsys.readouterr().out.splitlines()[0].endswith(f"scores: {entry['scores']}{end}")


def test_numbers_have_an_average_of_their_own_and_features_none(capsys: pytest.CaptureFixture[str]) -> None:
    report = console()
    report.add(["a", "b"], Answer([{**NO_CLASSES, "value": 2}, {**NO_CLASSES, "value": 3}], 1, 1))
    report.close()
    out = capsys.readouterr().out
    assert "The average value: 2.500" in out
    assert "top-1" not in out
    report = console()
    report.add(["a"], Answer([{**NO_CLASSES, "feature": [1]}], 1, 1))
    report.close()
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_names_are_shown_in_one_line_without_control_characters(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    report = console()
    report.add(["two\nlines\x1b[31m.png"], answer(1))
    report.fail(["\x1b]0;a.png", "z\udce9\n.png"], "damaged")
    assert capsys.readouterr().out.startswith("File:two\\nlines\\u001b[31m.png, The result(s): ")
    assert caplog.messages == ["\\u001b]0;a.png ... z\\udce9\\n.png (2 images): damaged"]


def test_lines_of_single_images_can_be_left_out(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    report = console(shows_results=False, shows_failures=False)
    report.add(["a.png"], answer(1))
    report.fail(["b.png"], "damaged")
    report.close()
    printed = capsys.readouterr()
    assert [line.partition(":")[0] for line in printed.out.splitlines()] == [
        "The average time of prediction cost",
        "The average time cost",
        "The average top-1 score",
    ]
    assert printed.err == "2 files: 1 answered, 1 failed\n"
    assert not caplog.records


def test_the_bar_begins_with_what_is_known_and_ends_with_what_there_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    report = console(tmp_path)
    assert "0/5" in capsys.readouterr().err
    report.add(["0.png"], answer(1))
    report.end_bar(is_whole=False)
    assert "1/5" in capsys.readouterr().err
    report = console(tmp_path)
    report.add(["0.png", "1.png"], answer(2))  # the others are gone meanwhile
    report.close()
    assert "2/2" in capsys.readouterr().err


def test_a_run_that_was_cut_short_does_not_say_what_was_not_sent() -> None:
    report = console()
    report.files.skip(".heic without pillow-heif")
    report.add(["a.png"], answer(1))
    assert report.close(is_whole=False)[-1] == "1 file so far: 1 answered"
