import csv
import json

import pytest

from clas.commandline.formats import FORMATS
from clas.output.topk import Prediction, failed_prediction

CAT: Prediction = {
    "class_ids": [282, 7],
    "scores": [0.5, 0.25],
    "label_names": ["tiger cat", 'a "猫", 狗'],
}
UNNAMED: Prediction = {"class_ids": [3], "scores": [1.0], "label_names": []}
FAILED = failed_prediction("it is damaged")
NAME = "图, 片.jpg"


def lines(form: str, prediction: Prediction) -> list[str]:
    return [*FORMATS[form].header, *FORMATS[form].lines(NAME, prediction)]


def test_text_has_a_line_for_each_class_and_none_for_a_failure() -> None:
    assert lines("text", CAT) == [f"{NAME}:", "  0.50000   282  tiger cat", '  0.25000     7  a "猫", 狗']
    assert lines("text", UNNAMED) == [f"{NAME}:", "  1.00000     3"]
    assert lines("text", FAILED) == []


@pytest.mark.parametrize("prediction", [CAT, UNNAMED, FAILED])
def test_json_has_an_object_a_line_with_the_entry_as_the_service_answers_it(prediction: Prediction) -> None:
    [line] = lines("json", prediction)
    assert json.loads(line) == {"file": NAME, **prediction}


def test_csv_has_a_row_for_each_class_and_one_for_a_failure() -> None:
    assert list(csv.DictReader(lines("csv", CAT))) == [
        {
            "file": NAME,
            "rank": str(rank),
            "class_id": class_id,
            "label_name": label,
            "score": score,
            "error": "",
        }
        for rank, class_id, label, score in [(1, "282", "tiger cat", "0.5"), (2, "7", 'a "猫", 狗', "0.25")]
    ]
    [failed] = csv.DictReader(lines("csv", FAILED))
    assert (failed["file"], failed["error"], failed["class_id"]) == (NAME, "it is damaged", "")


def test_a_picture_that_no_label_is_found_for_has_its_line_in_every_form() -> None:
    none: Prediction = {"class_ids": [], "scores": [], "label_names": []}
    assert lines("text", none) == [f"{NAME}:"]
    assert json.loads(lines("json", none)[0]) == {"file": NAME, **none}
    [row] = csv.DictReader(lines("csv", none))
    assert row == {"file": NAME, "rank": "", "class_id": "", "label_name": "", "score": "", "error": ""}
