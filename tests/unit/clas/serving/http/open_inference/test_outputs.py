from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from clas.errors import RequestError
from clas.output.base import Postprocessor
from clas.output.threshold import MultiLabelThreshOutput, ThreshOutput
from clas.output.topk import Topk
from clas.serving.http.open_inference.outputs import (
    RequestedOutput,
    output_names,
    read_outputs,
    write_outputs,
)
from clas.serving.http.raw_json import NULL

LABELS = {0: "cat", 1: "dog", 2: "金鱼"}
SCORES = np.array([[0.1, 0.7, 0.2], [0.25, 0.25, 0.5]], np.float32)


def written(
    output: Postprocessor, scores: Any, *names: str, top_k: int = 2, **more: int
) -> Mapping[str, Any]:
    """Name -> what the JSON of an answer has."""
    requested = [RequestedOutput(name, is_binary=False, **more) for name in names]
    entries, binary = write_outputs(requested, np.array(scores, np.float32), top_k, output)
    assert binary == []
    assert [entry["name"] for entry in entries] == list(names)
    return {str(entry["name"]): entry for entry in entries}


def test_the_scores_are_those_of_the_model() -> None:
    [entry] = written(Topk(2, 3, {}), SCORES, "scores").values()
    assert (entry["datatype"], list(entry["shape"])) == ("FP32", [2, 3])
    assert entry["data"] == SCORES.astype(np.float64).ravel().tolist()  # none of them rounded


def test_classes_and_labels_come_best_first() -> None:
    found = written(Topk(2, 3, LABELS), SCORES, "labels", "class_ids")
    assert (found["class_ids"]["datatype"], list(found["class_ids"]["shape"])) == ("INT64", [2, 2])
    assert found["class_ids"]["data"] == [1, 2, 2, 0]
    assert (found["labels"]["datatype"], list(found["labels"]["shape"])) == ("BYTES", [2, 2])
    assert found["labels"]["data"] == ["dog", "金鱼", "金鱼", "cat"]


def test_rows_with_fewer_classes_than_others_are_filled() -> None:
    output = MultiLabelThreshOutput(3, 0.5, LABELS)
    scores = [[0.1, 0.7, 0.6], [0.1, 0.1, 0.1], [0.9, 0.0, 0.0]]
    found = written(output, scores, "class_ids", "labels", top_k=3)
    assert np.reshape(found["class_ids"]["data"], found["class_ids"]["shape"]).tolist() == [
        [1, 2],
        [-1, -1],
        [0, -1],
    ]
    assert found["labels"]["data"] == ["dog", "金鱼", "", "", "cat", ""]
    nothing = written(output, [[0, 0, 0]], "class_ids", "labels", top_k=3)
    assert [list(entry["shape"]) for entry in nothing.values()] == [[1, 0], [1, 0]]


@pytest.mark.parametrize(("scores", "wanted"), [([[0.75]], [0.25, 0.75]), ([[0.2, 0.8]], [0.2, 0.8])])
def test_of_two_classes_both_have_a_score(scores: list[list[float]], wanted: list[float]) -> None:
    output = ThreshOutput(0.5, LABELS)
    found = written(output, scores, "scores", "class_ids", top_k=1)
    assert list(found["scores"]["shape"]) == [1, 2]
    assert found["scores"]["data"] == pytest.approx(wanted)
    assert found["class_ids"]["data"] == [1]
    [named] = written(output, scores, "scores", class_count=1).values()
    assert named["data"] == [f"{wanted[1]:.6f}:1:dog"]


def test_classification_names_score_index_and_label() -> None:
    [entry] = written(Topk(1, 3, {1: "dog", 2: ""}), SCORES, "scores", class_count=3).values()
    assert (entry["datatype"], list(entry["shape"])) == ("BYTES", [2, 3])
    assert entry["data"] == [
        *("0.700000:1:dog", "0.200000:2", "0.100000:0"),
        *("0.500000:2", "0.250000:0", "0.250000:1:dog"),
    ]


def test_binary_data_follow_in_the_order_of_the_outputs() -> None:
    requested = [
        RequestedOutput("labels", is_binary=True),
        RequestedOutput("class_ids", is_binary=False),
        RequestedOutput("scores", is_binary=True),
    ]
    entries, binary = write_outputs(requested, SCORES[:1], 1, Topk(1, 3, LABELS))
    assert [entry.get("parameters") for entry in entries] == [
        {"binary_data_size": 7},
        None,
        {"binary_data_size": 12},
    ]
    assert ["data" in entry for entry in entries] == [False, True, False]
    assert binary == [b"\3\0\0\0dog", SCORES[:1].tobytes()]


def test_only_a_service_with_labels_has_them_as_an_output() -> None:
    assert output_names(Topk(1, 3, LABELS)) == ("scores", "class_ids", "labels")
    assert output_names(Topk(1, 3, {})) == ("scores", "class_ids")


def read(value: object, *, is_binary: bool = False) -> list[RequestedOutput]:
    return list(
        read_outputs(msgspec.Raw(msgspec.json.encode(value)), Topk(1, 3, LABELS), is_binary=is_binary)
    )


@pytest.mark.parametrize("value", [None, []])
@pytest.mark.parametrize("is_binary", [True, False])
def test_a_request_that_names_no_output_gets_the_scores(value: object, *, is_binary: bool) -> None:
    assert read(value, is_binary=is_binary) == [RequestedOutput("scores", is_binary)]
    assert msgspec.Raw(b"null") == NULL


def test_an_output_may_be_binary_or_not_whatever_holds_for_the_others() -> None:
    value = [
        {"name": "labels"},
        {"name": "scores", "parameters": {"binary_data": False, "classification": 3}},
        {"name": "class_ids", "parameters": None},
    ]
    assert read(value, is_binary=True) == [
        RequestedOutput("labels", is_binary=True),
        RequestedOutput("scores", is_binary=False, class_count=3),
        RequestedOutput("class_ids", is_binary=True),
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, r"outputs is \{\}; it takes a list of objects with a name"),
        (["scores"], r"outputs is \['scores'\]; it takes a list of objects with a name"),
        ([{}], r"outputs\[0\]\.name is None; the model's outputs are scores, class_ids, labels"),
        ([{"name": "score"}], r"outputs\[0\]\.name is 'score'; the model's outputs are"),
        ([{"name": []}], r"outputs\[0\]\.name is \[\]; the model's outputs are"),
        ([{"name": "labels"}] * 2, r"outputs\[1\]\.name is 'labels', which another one"),
        ([{"name": "labels", "data": []}], r"outputs\[0\] has an unknown name 'data'"),
        ([{"name": "scores", "parameters": {"clasification": 1}}], "did you mean 'classification'"),
        ([{"name": "scores", "parameters": {"binary_data": 1}}], "binary_data is 1; it takes true or false"),
        ([{"name": "scores", "parameters": {"classification": 0}}], "a whole number from 1 to 3"),
        ([{"name": "scores", "parameters": {"classification": 4}}], "a whole number from 1 to 3"),
        ([{"name": "scores", "parameters": {"classification": True}}], "a whole number from 1 to 3"),
        ([{"name": "labels", "parameters": {"classification": 1}}], "is for scores, not for labels"),
        (
            [{"name": "scores", "parameters": {"shared_memory_region": "r"}}],
            r"outputs\[0\]\.parameters has 'shared_memory_region': shared memory regions are not supported",
        ),
    ],
)
def test_what_there_is_not_is_refused_by_its_name(value: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read(value)
