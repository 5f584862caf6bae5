import os
from pathlib import Path

import pytest

from clas.output.topk import Prediction, failed_prediction
from clas_client.accuracy import Accuracy, Truth, TruthError
from clas_client.outcome import Outcome, Picture


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def entry(*class_ids: int) -> Prediction:
    scores = [0.5] * len(class_ids)
    return {"class_ids": list(class_ids), "scores": scores, "label_names": []}


def picture(name: str, root: Path = Path("pictures")) -> Picture:
    return Picture(name, root / name)


def accuracy(tmp_path: Path, labels: str, *entries: Prediction) -> Accuracy:
    """Of pictures that are called 0.png, 1.png ..."""
    counted = Accuracy(Truth(write(tmp_path / "labels.txt", labels)))
    counted.add([Outcome(picture(f"{number}.png"), each) for number, each in enumerate(entries)])
    return counted


def test_first_and_best_five_are_told_apart(tmp_path: Path) -> None:
    counted = accuracy(
        tmp_path,
        "0.png 3\n1.png 3\n2.png 3\n3.png 3\n",
        entry(3, 1, 2, 4, 5),
        entry(1, 3, 2, 4, 5),
        entry(1, 2, 4, 5, 3),
        entry(1, 2, 4, 5, 6, 3),  # sixth
    )
    assert counted.summary() == [
        "The top-1 accuracy: 0.250 (1 of 4 images)",
        "The top-5 accuracy: 0.750 (3 of 4 images)",
    ]


def test_failed_pictures_do_not_count(tmp_path: Path) -> None:
    counted = accuracy(tmp_path, "0.png 3\n1.png 3\n", failed_prediction("damaged"), entry(3, 1, 2, 4, 5))
    assert counted.summary()[0] == "The top-1 accuracy: 1.000 (1 of 1 images)"


def test_with_fewer_than_five_classes_there_is_no_top_5(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counted = accuracy(tmp_path, "0.png 3\n1.png 3\n", entry(1, 2, 3, 4, 5), entry(3, 1))
    assert counted.summary() == ["The top-1 accuracy: 0.500 (1 of 2 images)"]
    assert (
        "top-5 accuracy takes answers of 5 classes; there was one of 2: if the model has as many, send"
        in caplog.text
    )


def test_pictures_that_the_list_does_not_have_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counted = accuracy(tmp_path, "elsewhere.png 3\n", entry(1), entry(2))
    assert counted.summary() == []
    assert "labels.txt has no class for 2 answered images" in caplog.text


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
def test_a_path_may_be_told_in_several_ways(tmp_path: Path, line: str) -> None:
    root = tmp_path / "data" / "val"
    truth = Truth(write(tmp_path / "labels.txt", line.format(root=root) + "\n\n"))
    assert truth.class_id(picture("sub/a b.png", root)) == 7
    assert truth.class_id(picture("a b.png", root)) is None


def test_a_path_may_start_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    truth = Truth(write(tmp_path / "lists" / "labels.txt", "data/val/a.png 7\n"))
    assert truth.class_id(picture("a.png", Path("data/val"))) == 7
    assert truth.class_id(picture("a.png", tmp_path / "data" / "val")) == 7


def test_the_name_from_the_folder_on_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    truth = Truth(write(tmp_path / "labels.txt", "pictures/a.png 1\na.png 2\n"))
    assert truth.class_id(picture("a.png")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\n", r"labels.txt, line 1: 'a.png' isn't path id"),
        ("a.png 1\n\nb.png x\n", r"line 3: 'b.png x' isn't path id, of which the id is a whole number"),
        ("a.png -1\n", "isn't path id"),
        ("a.png 1,0,1\n", "isn't path id"),
        ("a.png ²\n", "isn't path id"),
        ("a.png 1234567890\n", "isn't path id"),
        ("a.png 1\n./a.png 2\n", r"line 2: a.png is of class 2 here, and was of 1 before"),
        ("\n \n", "is empty; it takes path id a line"),
    ],
)
def test_another_list_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TruthError, match=message):
        Truth(write(tmp_path / "labels.txt", text))


def test_a_path_that_is_there_twice_with_one_class_is_fine(tmp_path: Path) -> None:
    assert Truth(write(tmp_path / "labels.txt", "a.png 1\na.png 1\n")).class_id(picture("a.png")) == 1


def test_another_encoding_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("照片.png 1\n".encode("gbk"))
    with pytest.raises(TruthError, match=r"labels.txt isn't UTF-8: .* at byte 0"):
        Truth(tmp_path / "labels.txt")
    with pytest.raises(TruthError, match=f"can't be read: {os.strerror(21)}"):
        Truth(tmp_path)


def test_a_path_may_run_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "sets" / "pictures").mkdir(parents=True)
    (tmp_path / "data").symlink_to("disk")
    for line in ("sets/pictures/0.png 3", f"{tmp_path}/data/sets/pictures/0.png 3"):
        truth = Truth(write(tmp_path / "disk" / "labels.txt", line))
        through_link = Truth(tmp_path / "data" / "labels.txt")
        for each in (truth, through_link):
            assert each.class_id(picture("0.png", tmp_path / "data" / "sets" / "pictures")) == 3
