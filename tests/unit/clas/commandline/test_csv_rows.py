import csv
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.commandline.csv_rows import CSV, CSV_COLUMNS, columns_for, columns_of, csv_by, csv_with
from clas.output.base import GroupResult, Prediction, failed_prediction

USUAL: Prediction = {"class_ids": [1], "scores": [0.5], "label_names": ["cat"]}
ATTRIBUTES: Prediction = {**USUAL, "attributes": ["Male", "Upper: LongSleeve"], "output": [0, 1]}
VEHICLE: Prediction = {**USUAL, "attributes": "Color unknown, Type unknown", "output": [0, 1]}
VALUE: Prediction = {"class_ids": [], "scores": [], "label_names": [], "value": -1.25}
GROUPS: Prediction = {
    "class_ids": [22, 20],
    "scores": [0.1, 0.9],
    "label_names": ["male", "adult"],
    "groups": {
        "gender": {"label": "male", "class_id": 22, "score": 0.1},
        "age": {"label": "adult", "class_id": 20, "score": 0.9},
    },
}
FEATURE: Prediction = {"class_ids": [], "scores": [], "label_names": [], "feature": [0.5, 0.25]}


@pytest.mark.parametrize(
    ("prediction", "cells"),
    [
        (USUAL, {}),
        (ATTRIBUTES, {"attributes": "Male; Upper: LongSleeve"}),
        (VEHICLE, {"attributes": "Color unknown, Type unknown"}),
        (VALUE, {"value": "\\-1.25"}),
        (GROUPS, {"gender": "male", "age": "adult"}),
        (FEATURE, {}),
    ],
)
def test_a_form_has_its_columns_before_the_last(prediction: Prediction, cells: dict[str, str]) -> None:
    columns = columns_of(prediction)
    form = csv_with(columns)
    [row] = csv.DictReader([form.header, form.write("a.png", prediction)])
    assert list(row) == [*CSV_COLUMNS[:-1], *cells, "error"]
    assert {name: row[name] for name in columns} == cells
    assert csv_by(form.header).header == form.header


@pytest.mark.parametrize("prediction", [USUAL, VALUE, GROUPS, failed_prediction("no")])
@pytest.mark.parametrize("columns", [(), ("value",), ("gender", "age")])
def test_what_has_columns_comes_back(prediction: Prediction, columns: tuple[str, ...]) -> None:
    form = csv_with(columns)
    wanted: dict[str, Any] = dict(prediction)
    if columns_of(prediction) != columns:
        wanted = {name: wanted[name] for name in wanted if name not in ("value", "groups")}
    assert form.read(form.write("a.png", prediction)) == ("a.png", wanted)


def test_of_attributes_the_texts_come_back() -> None:
    form = csv_with(("attributes",))
    assert form.read(form.write("a", ATTRIBUTES)) == ("a", {**USUAL, "attributes": ATTRIBUTES["attributes"]})


@given(
    names=st.lists(st.text(st.characters(), min_size=1), unique=True, min_size=1),
    label=st.text(st.characters()),
)
def test_any_names_and_labels_of_groups_come_back(names: list[str], label: str) -> None:
    names = [name for name in names if name not in ("attributes", "value")] or ["a"]
    answers: dict[str, GroupResult] = {name: {"label": label, "class_id": 1, "score": 0.5} for name in names}
    entry: Prediction = {
        "class_ids": [1] * len(names),
        "scores": [0.5] * len(names),
        "label_names": [label] * len(names),
        "groups": answers,
    }
    form = csv_with(columns_of(entry))
    for line in (form.header, form.write("a", entry)):
        assert not {"\n", "\r"} & set(line)
    assert csv_by(form.header).read(form.write("a", entry)) == ("a", entry)


def test_a_model_tells_the_columns_of_its_results() -> None:
    def columns(form: str, **postprocess: object) -> tuple[str, ...]:
        return columns_for({"main_indicator": form, "postprocess": postprocess})

    assert columns("Topk") == columns("NormalizeFeatures") == ()
    assert columns("PersonAttribute") == columns("VehicleAttribute") == ("attributes",)
    assert columns("ScoreOutput") == ("value",)
    assert columns("groups", groups=[{"name": "gender"}, {"name": "age"}]) == ("gender", "age")


@pytest.mark.parametrize("header", ["", "a,b", CSV.header.replace("scores", "points"), '"'])
def test_another_header_is_refused(header: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the message is the header
        csv_by(header)


@pytest.mark.parametrize("line", ["a,,,,[],[],[],x,", "a,,,,[],[],[],nan,", "a,,,,[],[],[],1.5,2,"])
def test_a_cell_that_is_no_number_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the message may be float's
        csv_with(("value",)).read(line)
