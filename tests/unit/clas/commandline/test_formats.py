import csv
import json

import pytest

from clas.commandline.csv_rows import columns_of
from clas.commandline.formats import FORMATS, format_for
from clas.output.base import Prediction, failed_prediction

CAT: Prediction = {
    "class_ids": [282, 7],
    "scores": [0.5, 0.25],
    "label_names": ["tiger cat", 'a "猫", 狗'],
}
UNNAMED: Prediction = {"class_ids": [3], "scores": [1.0], "label_names": []}
FAILED = failed_prediction("it is damaged")
NAME = "图, 片.jpg"


def lines(form: str, prediction: Prediction) -> list[str]:
    header = FORMATS[form].header
    return [*([header] if header else []), *FORMATS[form].lines(NAME, prediction)]


def test_text_has_a_line_for_each_class_and_none_for_a_failure() -> None:
    assert lines("text", CAT) == [f"{NAME}:", "  0.50000   282  tiger cat", '  0.25000     7  a "猫", 狗']
    assert lines("text", UNNAMED) == [f"{NAME}:", "  1.00000     3"]
    assert lines("text", FAILED) == []


@pytest.mark.parametrize("prediction", [CAT, UNNAMED, FAILED])
def test_json_has_an_object_a_line_with_the_entry_as_the_service_answers_it(prediction: Prediction) -> None:
    [line] = lines("json", prediction)
    assert json.loads(line) == {"file": NAME, **prediction}


def test_csv_has_a_row_for_each_image() -> None:
    [row] = csv.DictReader(lines("csv", CAT))
    assert (row["file"], row["class_id"], row["label_name"], row["score"]) == (
        NAME,
        "282",
        "tiger cat",
        "0.5",
    )
    assert json.loads(row["label_names"]) == CAT["label_names"]
    [failed] = csv.DictReader(lines("csv", FAILED))
    assert (failed["file"], failed["error"], failed["class_id"]) == (NAME, "it is damaged", "")


def test_csv_is_safe_to_open_in_a_spreadsheet() -> None:
    evil: Prediction = {"class_ids": [1], "scores": [1.0], "label_names": ["=1+1"]}
    [row] = FORMATS["csv"].lines("=2+2", evil)
    [cells] = csv.reader([row])
    assert (cells[0], cells[2]) == ("\\=2+2", "\\=1+1")


def test_an_image_of_no_class_has_its_line_in_every_form() -> None:
    none: Prediction = {"class_ids": [], "scores": [], "label_names": []}
    assert lines("text", none) == [f"{NAME}:"]
    assert json.loads(lines("json", none)[0]) == {"file": NAME, **none}
    [row] = csv.DictReader(lines("csv", none))
    assert (row["file"], row["class_id"], row["class_ids"], row["error"]) == (NAME, "", "[]", "")


NONE: Prediction = {"class_ids": [], "scores": [], "label_names": []}
GROUPS: Prediction = {**UNNAMED, "groups": {"age": {"label": "old", "class_id": 3, "score": 1.0}}}


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        ({**CAT, "attributes": ["Male", "Hat: False"], "output": [1, 0]}, ["  Male", "  Hat: False"]),
        ({**CAT, "attributes": "Color unknown, Type unknown"}, ["  Color unknown, Type unknown"]),
        (GROUPS, ["  age: old  1.00000"]),
        ({**NONE, "value": 2.5}, ["  2.5"]),
        ({**NONE, "feature": [0.5, 0.25]}, ["  a feature of 2 numbers"]),
    ],
)
def test_text_says_what_a_form_has_in_place_of_classes(prediction: Prediction, said: list[str]) -> None:
    assert lines("text", prediction) == [f"{NAME}:", *said]


def test_csv_has_the_columns_of_a_form() -> None:
    form = format_for("csv", columns_of(GROUPS))
    [row] = csv.DictReader([form.header, *form.lines(NAME, GROUPS)])
    assert (row["age"], row["class_ids"]) == ("old", "[3]")
    assert format_for("json", ("age",)) == FORMATS["json"]
