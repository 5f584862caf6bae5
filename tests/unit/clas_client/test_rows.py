import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.output.topk import Prediction, failed_prediction
from clas_client.rows import CSV_COLUMNS, FORMATS

TABBY: Prediction = {"class_ids": [281, 282], "scores": [0.75, 0.125], "label_names": ["tabby, cat", "虎猫"]}
NAMES = [
    "a.png",
    "图片.png",
    "a, b.png",
    'say "hi".png',
    "two\nlines\r.png",
    "caf\udce9.png",
    "back\\slash\\n\\udce9.png",
    "=1+1.png",
    "-1.png",
    "\\=.png",
    " a .png ",
]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("entry", [TABBY, failed_prediction("no, it isn't: \\n")])
def test_a_row_is_one_line_of_utf_8_and_says_the_same_when_it_is_read(
    ending: str, name: str, entry: Prediction
) -> None:
    line = FORMATS[ending].write(name, entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert FORMATS[ending].read(line.decode("utf-8")[:-1]) == (name, entry)


@pytest.mark.parametrize("ending", FORMATS)
@given(
    name=st.text(st.characters(exclude_characters="\0")),
    scores=st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    label=st.text(st.characters()),
)
def test_any_name_label_and_score_comes_back(ending: str, name: str, scores: list[float], label: str) -> None:
    entry: Prediction = {
        "class_ids": list(range(len(scores))),
        "scores": scores,
        "label_names": [label] * len(scores),
    }
    line = FORMATS[ending].write(name, entry)
    assert FORMATS[ending].read(line.decode("utf-8")[:-1]) == (name, entry)


def test_csv_has_the_best_class_in_columns_of_its_own() -> None:
    file = io.StringIO((FORMATS[".csv"].header + FORMATS[".csv"].write("a.png", TABBY)).decode("utf-8-sig"))
    assert list(csv.DictReader(file)) == [
        {
            "file": "a.png",
            "class_id": "281",
            "label_name": "tabby, cat",
            "score": "0.75",
            "class_ids": "[281, 282]",
            "label_names": '["tabby, cat", "虎猫"]',
            "scores": "[0.75, 0.125]",
            "error": "",
        }
    ]


def test_no_cell_with_a_foreign_text_is_a_formula() -> None:
    evil = '=HYPERLINK("http://x","y")'
    entry: Prediction = {"class_ids": [1], "scores": [-0.5], "label_names": [evil]}
    for line in (
        FORMATS[".csv"].write(evil, entry),
        FORMATS[".csv"].write("@x", failed_prediction("+1")),
    ):
        [cells] = csv.reader([line.decode()])
        texts = [cells[CSV_COLUMNS.index(column)] for column in ("file", "label_name", "error")]
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in texts)


def test_json_lines_have_the_fields_of_the_answer() -> None:
    assert json.loads(FORMATS[".jsonl"].write("a.png", TABBY)) == {"file": "a.png", **TABBY}


@pytest.mark.parametrize(
    ("ending", "line"),
    [
        (".jsonl", ""),
        (".jsonl", "{}"),
        (".jsonl", "[]"),
        (".jsonl", '{"file": "a"}'),
        (".jsonl", '{"file": 1, "class_ids": [], "scores": [], "label_names": []}'),
        (".jsonl", '{"file": "a", "class_ids": ["1"], "scores": [], "label_names": []}'),
        (".jsonl", '{"file": "a", "class_ids": [], "scores": [], "label_names": [], "error": 1}'),
        (".csv", ""),
        (".csv", "a.png,1"),
        (".csv", "a.png,1,x,0.5,[1],[],nothing,"),
        (".csv", 'a.png,"1'),
        (".csv", "\0" * 20),
    ],
)
def test_another_line_is_refused(ending: str, line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's says what it likes
        FORMATS[ending].read(line)


def test_a_row_of_very_many_classes_comes_back() -> None:
    entry: Prediction = {"class_ids": [1] * 50_000, "scores": [0.5] * 50_000, "label_names": []}
    line = FORMATS[".csv"].write("a.png", entry)
    assert FORMATS[".csv"].read(line.decode()[:-1]) == ("a.png", entry)
