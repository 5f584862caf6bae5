import pytest

from clas.serving.on_ray.batch.totals import Progress, Totals


def test_failures_are_counted_by_what_their_messages_have_in_common() -> None:
    totals = Totals()
    totals.add([None, "it has 5 x 7 pixels", "it has 12 x 9 pixels", "it is damaged"])
    totals.merge(10, {"it is damaged": 2})
    assert list(totals.lines()) == [
        "14 images: 9 answered, 5 failed",
        "  3 x it is damaged",
        "  2 x it has N x N pixels",
    ]


def test_few_of_many_reasons_are_shown_and_few_are_kept() -> None:
    totals = Totals()
    totals.add(f"reason {'x' * number}" for number in range(3000))
    assert len(totals.reasons) == 1001
    first, *reasons, last = totals.lines()
    assert first == "3000 images: 0 answered, 3000 failed"
    assert len(reasons) == 12
    assert last == "  989 x other reasons"


def test_progress_is_said_seldom_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(2)
    progress.add(50)
    assert capsys.readouterr().err == ""
    assert progress.line(50, 25) == "1/2 parts, 50 images, 2.0 images/s, 0:00:25 left"
    progress.add(100)
    assert capsys.readouterr().err.startswith("2/2 parts, 100 images, ")


def test_a_long_time_left_has_hours() -> None:
    progress = Progress(101)
    progress.add(1)
    assert progress.line(1, 60).endswith("1:40:00 left")
