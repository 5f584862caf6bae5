import os
from pathlib import Path

import pytest

from clas.commandline.evaluation.errors import EvaluationError
from clas.commandline.evaluation.truth_file import Kind, Truth, TruthList, read_truth_file


def read(tmp_path: Path, text: str, name: str = "labels.txt") -> TruthList:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8", newline="")
    return read_truth_file(file)


@pytest.mark.parametrize(
    ("line", "path", "truth"),
    [
        ("a b.png 7", "a b.png", 7),
        ("a.png\t7", "a.png", 7),
        ("./sub//a.png  007 ", "sub/a.png", 7),
        ("a.png cat", "a.png", "cat"),
        ("a b.JPG great white shark", "a b.JPG", "great white shark"),
        ("a.png of b.png cat", "a.png of b.png", "cat"),
        ("no suffix cat", "no suffix", "cat"),
        ("a.png\tgreat white shark", "a.png", "great white shark"),
        ("图 片.png\t白鲨", "图 片.png", "白鲨"),
        ("a.png\t0,1,0,1", "a.png", (1, 3)),
        ("a.png 0, 0", "a.png", ()),
        ("\ufeffa.png 7\r", "a.png", 7),
    ],
)
def test_a_line_has_a_path_and_a_class(tmp_path: Path, line: str, path: str, truth: Truth) -> None:
    found = read(tmp_path, line + "\n\n")
    assert found.truths == {path: truth}
    assert found.kind is {int: Kind.ID, str: Kind.NAME, tuple: Kind.LABELS}[type(truth)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("file,class_id\na b.png,7\nc.png,8\n", "labels.csv"),
        ("file,class_id\r\na b.png,7\r\nc.png,8\r\n", "labels.txt"),
        ('\ufeffClass ID;Image Path\n7;"a b.png"\n\n8;c.png\n', "labels.csv"),
        ("\n\nfile,class_id\na b.png,7\n\nc.png,8\n", "labels.csv"),
        ("image\tlabel\textra\na b.png\t7\tx\nc.png\t8\t\n", "labels.tsv"),
        ("a b.png,7\nc.png,8\n", "labels.csv"),
        ("a b.png,7\nc.png,8\n", "labels.txt"),
        ("label_name,file,class_id\nseven,a b.png,7\neight,c.png,8\n", "labels.csv"),
    ],
)
def test_a_table_has_columns_of_paths_and_classes(tmp_path: Path, text: str, name: str) -> None:
    assert read(tmp_path, text, name) == (Kind.ID, 0, {"a b.png": 7, "c.png": 8})


def test_a_table_may_have_names_and_labels(tmp_path: Path) -> None:
    assert read(tmp_path, "file,label\na.png,great white shark\n", "t.csv").truths == {
        "a.png": "great white shark"
    }
    assert read(tmp_path, "file,label_name\na.png,007\nb.png,x\n", "t.csv").truths == {
        "a.png": "007",
        "b.png": "x",
    }
    assert read(tmp_path, 'file,labels\na.png,"0,1,1"\nb.png,"1,0,0"\n', "t.csv") == (
        Kind.LABELS,
        3,
        {"a.png": (1, 2), "b.png": (0,)},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\n", r"labels.txt, line 1 is 'a.png'; it takes a path and a class id, a whole number; or"),
        ("a b.png\n", r"line 1 is 'a b.png'; it takes"),
        ("a.png -1\n", r"line 1 is 'a.png -1'; it takes a path and a class id"),
        ("a.png ²\n", "it takes a path and a class id"),
        ("a.png 1234567890\n", "it takes a path and a class id"),
        ("a.png 0.5\n", "it takes a path and a class id"),
        ("a.png\t0,1,2\n", "it takes a path and a class id"),
        ("a.png 1\n\nb.png x\n", "line 3 has a class name, 'x', but line 1 has a class id; a list takes one"),
        ("a.png 1\nb.png\t0,1\n", "line 2 has 0 or 1 for each label, '0,1', but line 1 has a class id"),
        ("a.png\t0,1\nb.png\t0,1,1\n", "line 2 has 3 labels, but line 1 has 2"),
        ("a.png 1\n./a.png 2\n", r"line 2: a.png has class 2 here, but class 1 in an earlier line"),
        ("a.png\t0,1\na.png\t1,1\n", r"a.png has class \[0, 1\] here, but class \[1\] in an earlier line"),
        ("\n \n", "is empty; it takes a path and a class per line"),
    ],
)
def test_an_invalid_list_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,class_id\na.png,1\nb.png\n", "labels.csv, line 3 has 1 columns, not 2"),
        ("file,class_id\na.png,\n", "line 2 has no class"),
        ("file,class_id\n,1\n", "line 2 has no path"),
        ("file,class_id\na.png,x y\nb.png,2\n", "line 3 has a class id, '2', but line 2 has a class name"),
        ("one,two\na.png,1\n", "line 1 is 'one,two'; the header of a table names a column of paths"),
        ("file class_id\n", "line 1 is 'file class_id'; the header of a table names"),
        ("file,class_id\n", "is empty; it takes a path and a class per line"),
        ("", "is empty"),
    ],
)
def test_an_invalid_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read(tmp_path, text, "labels.csv")


def test_another_encoding_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("照片.png 1\n".encode("gbk"))
    with pytest.raises(EvaluationError, match=r"labels.txt isn't UTF-8: .* at byte 0"):
        read_truth_file(tmp_path / "labels.txt")
    with pytest.raises(EvaluationError, match=f"can't be read: {os.strerror(21)}"):
        read_truth_file(tmp_path)


def test_labels_that_are_equal_are_kept_once(tmp_path: Path) -> None:
    """A million images have few sets of labels."""
    found = read(tmp_path, "".join(f"{number}.png\t0,1,{number % 2}\n" for number in range(10)))
    assert len({id(truth) for truth in found.truths.values()}) == 2
