import csv
import resource
import stat
from pathlib import Path

import pytest

from clas.commandline.appended_file import OutputError
from clas.output.base import Prediction, failed_prediction
from clas_client.results_file import FORMATS, ResultsFile, encode_header
from clas_client.sink import Outcome, Pending

ENTRY: Prediction = {"class_ids": [7], "scores": [0.5], "label_names": ["seven"]}


def good(name: str) -> Outcome:
    return Outcome(Pending(name), ENTRY)


def failed(name: str) -> Outcome:
    return Outcome(Pending(name), failed_prediction("damaged"))


@pytest.fixture(params=FORMATS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"results{request.param}"


def write(path: Path, *outcomes: Outcome) -> bytes:
    file = ResultsFile(path, resume=False)
    file.add(outcomes)
    file.close([])
    return path.read_bytes()


def test_a_batch_is_in_the_file_as_soon_as_it_is_added(path: Path) -> None:
    file = ResultsFile(path, resume=False)
    file.add([good("a.png"), failed("b.png")])
    lines = path.read_bytes().removeprefix(encode_header(FORMATS[path.suffix])).splitlines()
    assert len(lines) == 2
    file.add([good("c.png")])
    assert path.read_bytes().splitlines()[-3:-1] == lines
    file.close([])


def test_a_file_that_is_there_is_not_overwritten(path: Path) -> None:
    content = write(path, good("a.png"))
    with pytest.raises(OutputError, match="already exists: resume it with --resume"):
        ResultsFile(path, resume=False)
    assert path.read_bytes() == content


def test_a_file_without_any_row_is_begun_anew(path: Path) -> None:
    header = write(path)
    assert write(path, good("a.png")).startswith(header)


def test_resuming_keeps_good_rows_and_drops_failed_ones(path: Path) -> None:
    write(path, good("a.png"), failed("b.png"), good("c.png"))
    file = ResultsFile(path, resume=True)
    assert file.done == {"a.png", "c.png"}
    assert [name for name, _ in file.earlier()] == ["a.png", "c.png"]
    file.add([good("b.png")])
    file.close([])
    assert b"damaged" not in path.read_bytes()
    assert ResultsFile(path, resume=True).done == {"a.png", "b.png", "c.png"}
    assert [left.name for left in path.parent.iterdir()] == [path.name]


def test_a_file_cut_off_anywhere_is_resumed_from_its_last_whole_line(path: Path) -> None:
    content = write(path, good("a.png"), good("图\n,片.png"))
    ends = [number + 1 for number, byte in enumerate(content) if byte == ord("\n")]
    rows = ends if path.suffix == ".jsonl" else ends[1:]
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        file = ResultsFile(path, resume=True)
        assert len(file.done) == sum(end <= size for end in rows), size
        file.add([good("z.png")])
        file.close([])
        assert "z.png" in ResultsFile(path, resume=True).done, size


@pytest.mark.parametrize("content", [b"something else\n", b"\0" * 300 + b"\n", b"\xff\xfe\n"])
def test_a_file_of_something_else_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(OutputError, match="already exists"):
        ResultsFile(path, resume=False)
    with pytest.raises(
        OutputError, match=r"isn't a result of this client|doesn't start with this client's header"
    ):
        ResultsFile(path, resume=True)
    assert path.read_bytes() == content
    assert [left.name for left in path.parent.iterdir()] == [path.name]


def test_a_damaged_line_in_the_middle_is_named(path: Path) -> None:
    content = write(path, good("a.png"), good("b.png"), good("c.png"))
    path.write_bytes(content.replace(b"b.png", b"b.png\n"))
    line = 2 if path.suffix == ".jsonl" else 3
    with pytest.raises(OutputError, match=f"line {line} isn't a result of this client: name another file"):
        ResultsFile(path, resume=True)


def test_an_image_that_is_there_twice_is_counted_once(path: Path) -> None:
    write(path, good("a.png"), good("a.png"))
    assert [name for name, _ in ResultsFile(path, resume=True).earlier()] == ["a.png"]


def test_a_link_and_the_files_mode_stay(path: Path) -> None:
    real = path.with_name(f"real{path.suffix}")
    write(real, good("a.png"))
    real.chmod(0o640)
    path.symlink_to(real)
    ResultsFile(path, resume=True).close([])
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_full_disk_is_an_error_with_the_files_name(path: Path) -> None:
    path.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="can't be written: No space left on device"):
        ResultsFile(path, resume=False).add([good("a.png")])


def test_a_folder_that_is_not_there_is_an_error(path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written: No such file or directory"):
        ResultsFile(path.parent / "nowhere" / path.name, resume=False)


def test_a_disk_that_fills_up_within_a_row_leaves_only_whole_rows(path: Path) -> None:
    file = ResultsFile(path, resume=False)
    file.add([good("a.png")])
    content = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 10, limits[1]))
    try:
        with pytest.raises(OutputError, match="can't be written: File too large"):
            file.add([good("b.png")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == content


TEXTS: Prediction = {**ENTRY, "attributes": ["Male", "Hat: False"], "output": [0, 1]}
NUMBER: Prediction = {"class_ids": [], "scores": [], "label_names": [], "value": 2.5}
ANSWERS: Prediction = {**ENTRY, "groups": {"age": {"label": "seven", "class_id": 7, "score": 0.5}}}
FEATURE: Prediction = {"class_ids": [], "scores": [], "label_names": [], "feature": [0.5, 0.25]}


@pytest.mark.parametrize(
    ("entry", "column", "cell"),
    [(TEXTS, "attributes", "Male; Hat: False"), (NUMBER, "value", "2.5"), (ANSWERS, "age", "seven")],
)
def test_the_first_result_says_which_columns_there_are_and_a_resumed_run_keeps_them(
    tmp_path: Path, entry: Prediction, column: str, cell: str
) -> None:
    path = tmp_path / "results.csv"
    file = ResultsFile(path, resume=False)
    file.add([failed("a.png")])
    file.add([failed("b.png"), Outcome(Pending("c.png"), entry)])
    file.close([])
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["file"], row[column]) for row in rows] == [("a.png", ""), ("b.png", ""), ("c.png", cell)]
    with pytest.raises(OutputError, match="already exists"):
        ResultsFile(path, resume=False)
    file = ResultsFile(path, resume=True)
    assert file.done == {"c.png"}
    [(name, earlier)] = file.earlier()
    assert (name, earlier["class_ids"]) == ("c.png", entry["class_ids"])
    file.add([Outcome(Pending("a.png"), entry)])
    file.close([])
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["file"], row[column]) for row in rows] == [("c.png", cell), ("a.png", cell)]


@pytest.mark.parametrize("entry", [TEXTS, NUMBER, ANSWERS, FEATURE])
def test_a_line_of_jsonl_has_all_fields_and_comes_back(tmp_path: Path, entry: Prediction) -> None:
    path = tmp_path / "results.jsonl"
    write(path, Outcome(Pending("a.png"), entry))
    assert list(ResultsFile(path, resume=True).earlier()) == [("a.png", entry)]


def test_a_file_with_columns_of_its_own_that_is_cut_off_anywhere_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    content = write(path, Outcome(Pending("a.png"), TEXTS))
    for size in range(len(content)):
        path.write_bytes(content[:size])
        file = ResultsFile(path, resume=True)
        assert file.done == set()
        file.add([Outcome(Pending("z.png"), TEXTS)])
        file.close([])
        assert ResultsFile(path, resume=True).done == {"z.png"}


def test_a_run_in_which_all_has_failed_does_not_decide_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write(path, failed("a.png"))
    file = ResultsFile(path, resume=True)
    file.add([Outcome(Pending("a.png"), NUMBER)])
    file.close([])
    assert [row["value"] for row in csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())] == [
        "2.5"
    ]


@pytest.mark.parametrize(("entry", "what"), [(FEATURE, "features"), (NUMBER, "value")])
def test_what_has_no_column_is_said_once(
    tmp_path: Path, entry: Prediction, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = ResultsFile(tmp_path / "results.csv", resume=False)
    file.add([good("a.png")])
    assert caplog.text == ""
    for _ in range(3):
        file.add([Outcome(Pending("b.png"), entry)])
    assert caplog.text.count(f"results.csv has no column for {what}: name a .jsonl file, which has all") == 1
