import os
from pathlib import Path

import pytest

from clas_client.ground_truth import GroundTruth, GroundTruthError

IMAGES = Path("images")


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "line",
    [
        "sub/a b.png 7",
        "./sub//a b.png\t7",
        "val/sub/a b.png 7",
        "data/val/sub/a b.png  7  ",
        "{root}/sub/a b.png 7",
        "\ufeffsub/a b.png 7\r",
    ],
)
def test_a_path_may_be_written_in_several_ways(tmp_path: Path, line: str) -> None:
    root = tmp_path / "data" / "val"
    truth = GroundTruth(write(tmp_path / "labels.txt", line.format(root=root) + "\n\n"), root)
    assert truth.class_id("sub/a b.png") == 7
    assert truth.class_id("a b.png") is None


def test_a_path_may_start_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = write(tmp_path / "lists" / "labels.txt", "data/val/a.png 7\n")
    for root in (Path("data/val"), tmp_path / "data" / "val"):
        assert GroundTruth(labels, root).class_id("a.png") == 7


def test_the_name_from_the_folder_on_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    truth = GroundTruth(write(tmp_path / "labels.txt", "images/a.png 1\na.png 2\n"), IMAGES)
    assert truth.class_id("a.png") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\n", r"labels.txt, line 1 is 'a.png'; it takes a path and a class id, a whole number"),
        ("a.png 1\n\nb.png x\n", r"line 3 is 'b.png x'; it takes"),
        ("a.png -1\n", "it takes a path and a class id"),
        ("a.png 1,0,1\n", "it takes a path and a class id"),
        ("a.png ²\n", "it takes a path and a class id"),
        ("a.png 1234567890\n", "it takes a path and a class id"),
        ("a.png 1\n./a.png 2\n", r"line 2: a.png has class 2 here, but class 1 in an earlier line"),
        ("\n \n", "is empty; it takes a path and a class id per line"),
    ],
)
def test_an_invalid_list_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(GroundTruthError, match=message):
        GroundTruth(write(tmp_path / "labels.txt", text), IMAGES)


def test_a_path_that_is_there_twice_with_one_class_is_fine(tmp_path: Path) -> None:
    truth = GroundTruth(write(tmp_path / "labels.txt", "a.png 1\na.png 1\n"), IMAGES)
    assert truth.class_id("a.png") == 1


def test_another_encoding_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("照片.png 1\n".encode("gbk"))
    with pytest.raises(GroundTruthError, match=r"labels.txt isn't UTF-8: .* at byte 0"):
        GroundTruth(tmp_path / "labels.txt", IMAGES)
    with pytest.raises(GroundTruthError, match=f"can't be read: {os.strerror(21)}"):
        GroundTruth(tmp_path, IMAGES)


def test_a_path_may_run_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "sets" / "images").mkdir(parents=True)
    (tmp_path / "data").symlink_to("disk")
    root = tmp_path / "data" / "sets" / "images"
    for line in ("sets/images/0.png 3", f"{tmp_path}/data/sets/images/0.png 3"):
        labels = write(tmp_path / "disk" / "labels.txt", line)
        for file in (labels, tmp_path / "data" / "labels.txt"):
            assert GroundTruth(file, root).class_id("0.png") == 3
