import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.commandline.csv_rows import CSV, CSV_COLUMNS
from clas.commandline.rows import JSON_LINES, RowFormat
from clas.output.base import Prediction, failed_prediction

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


FORMATS = [CSV, JSON_LINES]


def encode(line: str) -> bytes:
    """As files have it, and stdout."""
    return line.encode("utf-8", "backslashreplace")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("entry", [TABBY, failed_prediction("no, it isn't: \\n")])
def test_a_row_is_one_line_of_utf_8_and_says_the_same_when_it_is_read(
    form: RowFormat, name: str, entry: Prediction
) -> None:
    line = encode(form.write(name, entry))
    assert not {ord("\n"), ord("\r")} & set(line)
    assert form.read(line.decode("utf-8")) == (name, entry)


@pytest.mark.parametrize("form", FORMATS)
@given(
    name=st.text(st.characters(exclude_characters="\0")),
    scores=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)),
    label=st.text(st.characters()),
)
def test_any_name_label_and_score_comes_back(
    form: RowFormat, name: str, scores: list[float], label: str
) -> None:
    entry: Prediction = {
        "class_ids": list(range(len(scores))),
        "scores": scores,
        "label_names": [label] * len(scores),
    }
    line = encode(form.write(name, entry))
    assert form.read(line.decode("utf-8")) == (name, entry)


def test_csv_has_the_best_class_in_columns_of_its_own() -> None:
    assert list(csv.DictReader([CSV.header, CSV.write("a.png", TABBY)])) == [
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
    for line in (CSV.write(evil, entry), CSV.write("@x", failed_prediction("+1"))):
        [cells] = csv.reader([line])
        texts = [cells[CSV_COLUMNS.index(column)] for column in ("file", "label_name", "error")]
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in texts)


def test_json_lines_have_the_fields_of_the_answer() -> None:
    assert json.loads(JSON_LINES.write("a.png", TABBY)) == {"file": "a.png", **TABBY}


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (JSON_LINES, ""),
        (JSON_LINES, "{}"),
        (JSON_LINES, "[]"),
        (JSON_LINES, '{"file": "a"}'),
        (JSON_LINES, '{"file": 1, "class_ids": [], "scores": [], "label_names": []}'),
        (JSON_LINES, '{"file": "a", "class_ids": ["1"], "scores": [], "label_names": []}'),
        (JSON_LINES, '{"file": "a", "class_ids": [], "scores": [], "label_names": [], "error": 1}'),
        (CSV, ""),
        (CSV, "a.png,1"),
        (CSV, "a.png,1,x,0.5,[1],[],nothing,"),
        (CSV, 'a.png,"1'),
        (CSV, "\0" * 20),
    ],
)
def test_another_line_is_refused(form: RowFormat, line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the message may be json's
        form.read(line)


def test_a_row_of_very_many_classes_comes_back() -> None:
    entry: Prediction = {"class_ids": [1] * 50_000, "scores": [0.5] * 50_000, "label_names": []}
    assert CSV.read(CSV.write("a.png", entry)) == ("a.png", entry)
