import pytest

from clas.commandline.evaluation.truth_columns import find_columns


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("file,class_id", (",", 2, 0, 1, False)),
        ("Label;Image", (";", 2, 1, 0, False)),
        ("id\tpath", ("\t", 2, 1, 0, False)),
        ("file,label_name", (",", 2, 0, 1, True)),
        ("file,label_name,class_id", (",", 3, 0, 2, False)),
        ("file,class_id,truth", (",", 3, 0, 2, False)),
        ("file,class_id,label_name,score,class_ids,label_names,scores,error", (",", 8, 0, 1, False)),
    ],
)
def test_a_header_names_a_column_of_paths_and_one_of_classes(
    line: str, expected: tuple[str, int, int, int, bool]
) -> None:
    assert find_columns(line) == (*expected, True)


@pytest.mark.parametrize("line", ["", "file", "a.png,7", "file,score", "cat,dog", "file class_id"])
def test_other_lines_are_no_header(line: str) -> None:
    assert find_columns(line) is None
