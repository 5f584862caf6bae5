import json
import re

import pytest

from clas.errors import SettingsError
from clas.result_values import Group, Thresholds, read_groups, read_names, read_threshold

GENDER = {"name": "gender", "outputs": [22], "threshold": 0.5, "labels": ["male", "female"]}
AGE = {"name": "age", "outputs": [19, 20, 21], "labels": ["young", "adult", 60]}
READ = (Group("gender", (22,), ("male", "female"), 0.5), Group("age", (19, 20, 21), ("young", "adult", "60")))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        (0.7, 0.7),
        ("0.7", 0.7),
        (1, 1),
        ([0.5, 1], Thresholds(((0, 0.5), (1, 1)))),
        ((0.5, 1), Thresholds(((0, 0.5), (1, 1)))),
        ("[0.5, 1]", Thresholds(((0, 0.5), (1, 1)))),
        ({"default": 0.5, 3: 0.2, 1: 0.9}, Thresholds(((1, 0.9), (3, 0.2)), 0.5)),
        ('{"default": 0.5, "3": 0.2}', Thresholds(((3, 0.2),), 0.5)),
    ],
)
def test_a_threshold_is_read_from_any_source(value: object, found: object) -> None:
    assert read_threshold(value) == found
    assert read_threshold(found) == found
    hash(found)


@pytest.mark.parametrize(
    "value", ["a", "", True, -0.1, 1.5, [], [0.5, 2], [True], {}, {3: 0.5}, {"default": 2}, {"default": None}]
)
def test_what_is_no_threshold_is_refused(value: object) -> None:
    with pytest.raises(
        SettingsError, match=r"threshold is .*; it takes a number from 0 to 1, a list with one"
    ):
        read_threshold(value)


@pytest.mark.parametrize("key", ["a", -1, 1.5, True])
def test_a_threshold_of_no_class_is_refused(key: object) -> None:
    with pytest.raises(SettingsError, match="threshold has a class "):
        read_threshold({"default": 0.5, key: 0.5})


@pytest.mark.parametrize("content", [[0.5, 1], {"default": 0.5, "3": 0.2}])
def test_thresholds_are_shown_as_they_are_written(content: object) -> None:
    found = read_threshold(content)
    assert isinstance(found, Thresholds)
    assert found.as_json() == content


def test_each_class_has_its_threshold() -> None:
    assert Thresholds(((1, 0.9), (3, 0.2)), 0.5).of(4) == [0.5, 0.9, 0.5, 0.2]
    assert Thresholds(((0, 0.1), (1, 0.9))).of(2) == [0.1, 0.9]


@pytest.mark.parametrize("value", [[GENDER, AGE], (GENDER, AGE), json.dumps([GENDER, AGE]), READ])
def test_groups_are_read_from_any_source(value: object) -> None:
    groups = read_groups(value)
    assert groups == READ
    hash(groups)
    assert [group.as_json() for group in groups] == [GENDER, {**AGE, "labels": ["young", "adult", "60"]}]


@pytest.mark.parametrize("value", [None, [], "", "[]", ()])
def test_nothing_is_no_groups(value: object) -> None:
    assert read_groups(value) == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "groups is 5; it takes a list of groups"),
        ({}, "groups is {}; it takes a list of groups"),
        ({"gender": GENDER}, "it takes a list of groups"),
        ("no JSON", "groups is 'no JSON'; it takes a list of groups"),
        (["gender"], "groups holds 'gender'; it takes objects with name, outputs, labels"),
        ([{**GENDER, "treshold": 0.5}], "groups has an unknown name 'treshold'; did you mean 'threshold'?"),
        ([{**GENDER, "name": ""}], "groups has a name ''; it takes a text other than"),
        ([{**GENDER, "name": "error"}], "groups has a name 'error'; it takes a text other than attributes"),
        ([{"name": "a"}], "group 'a' has outputs None; it takes a list of places from 0 on"),
        ([{**AGE, "outputs": [-1]}], "group 'age' has outputs [-1]; it takes a list of places"),
        ([{**AGE, "labels": [True, False, True]}], "group 'age' has labels [True, False, True]; it takes"),
        ([{**AGE, "labels": ["young"]}], "group 'age' has 3 outputs and 1 labels; it takes one for each"),
        ([{**GENDER, "threshold": 2}], "group 'gender' has threshold 2; it takes a number from 0 to 1"),
        (
            [{**AGE, "threshold": 0.5}],
            "group 'age' has a threshold; it takes one output, and the labels of no",
        ),
        ([GENDER, GENDER], "groups has the name 'gender' twice"),
    ],
)
def test_invalid_groups_are_refused(value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        read_groups(value)


def test_names_are_a_list_or_have_commas() -> None:
    assert read_names("a,b") == read_names(["a", "b"]) == ("a", "b")
    assert read_names("") == read_names(None) == read_names([]) == ()
    for value in (5, ["a", 5], [""], {"a": 1}):
        with pytest.raises(SettingsError, match="it takes a list of names"):
            read_names(value)
    with pytest.raises(SettingsError, match="it takes each name once"):
        read_names("a,a")
