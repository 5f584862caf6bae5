import csv
import json

import pytest

from clas.commandline.formats import FORMATS
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
