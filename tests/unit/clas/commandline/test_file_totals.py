import pytest

from clas.commandline.file_totals import FileTotals
from clas.image.files import HIDDEN


def totals(**kinds: int) -> FileTotals:
    made = FileTotals()
    for kind, count in kinds.items():
        for _ in range(count):
            made.skip(kind.replace("_", "."))
    return made


@pytest.mark.parametrize(
    ("numbers", "line"),
    [
        ((1, 0), "1 file: 1 answered"),
        ((3, 2), "5 files: 3 answered, 2 failed"),
        ((3, 2, 10), "15 files: 13 answered (10 in an earlier run), 2 failed"),
        ((0, 0), "0 files: 0 answered"),
    ],
)
def test_images_are_counted_by_what_became_of_them(numbers: tuple[int, ...], line: str) -> None:
    assert FileTotals().line(*numbers) == line


def test_what_was_not_sent_is_named_by_kind_endings_first_and_the_common_ones_before_rare_ones() -> None:
    files = totals(_avif=2, _heic=3)
    for _ in range(5):
        files.skip(HIDDEN)
    assert files.line(20, 1) == (
        "31 files: 20 answered, 1 failed, 10 not sent (3 .heic, 2 .avif, 5 hidden or thumbnails)"
    )
    assert files.line(20, 1, is_whole=False) == "21 files so far: 20 answered, 1 failed"


def test_rare_kinds_are_summed_up_and_all_are_counted_however_many_there_are() -> None:
    files = FileTotals()
    for number in range(3000):
        files.skip(f".{number}")
    files.skip(".0")
    line = files.line(0, 0)
    assert line.startswith("3001 files: 0 answered, 3001 not sent (2 .0, 1 .")
    assert line.endswith(" 2988 others)")


def test_an_ending_can_not_reach_the_terminal() -> None:
    files = FileTotals()
    files.skip(".\x1b[2J")
    assert "1 .\\u001b[2J" in files.line(0, 0)
