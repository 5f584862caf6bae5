"""Every form of results, from the settings to what is answered, by real models of seeded weights."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from clas.classifier import Classifier
from clas.errors import LabelFileError, SettingsError
from clas.model.files import find_model
from clas.model.program import read_program
from clas.settings import load_settings
from onnx_models import write_onnx_heads
from tiny_models import heads, heads_scores, write_model

RANDOM = np.random.default_rng(11)
BATCH = RANDOM.random((5, 3, 32, 32)).astype(np.float32)
GENDER, AGE = RANDOM.normal(0, 3, (3, 1)), RANDOM.normal(0, 3, (3, 4))
GROUPS = [
    {"name": "gender", "outputs": [4], "threshold": 0.5, "labels": ["male", "female"]},
    {"name": "age", "outputs": [0, 1, 2, 3], "labels": ["child", "young", "adult", "old"]},
]


def classifier_of(model: Path, **overrides: object) -> Classifier:
    sizes = {"resize_short": 32, "crop_size": 32, "cpu_num_threads": 1}
    return Classifier(load_settings({"inference_model_dir": str(model), **sizes, **overrides}))


def model_of(directory: Path, num_outputs: int) -> tuple[Path, np.ndarray[Any, Any]]:
    """A model with one output of sigmoids, and what it answers to BATCH."""
    matrix = np.random.default_rng(num_outputs).normal(0, 3, (3, num_outputs))
    return write_onnx_heads(directory, matrix), heads_scores(BATCH, matrix)


@pytest.mark.parametrize(
    ("engine", "format_"),
    [
        ("paddle", "pdmodel"),
        ("paddle", "json"),
        ("openvino", "pdmodel"),
        ("openvino", "onnx"),
        ("onnxruntime", "onnx"),
    ],
)
def test_several_outputs_are_joined_in_their_order_by_every_engine(
    tmp_path: Path, engine: str, format_: str
) -> None:
    pytest.importorskip(engine)
    if format_ == "onnx":
        write_onnx_heads(tmp_path, GENDER, AGE)
        names = ["head_0", "head_1"]
    else:
        write_model(tmp_path, heads(GENDER, AGE), json=format_ == "json")
        [files] = find_model(load_settings({"inference_model_dir": str(tmp_path)}))
        names = [output.name for output in read_program(files).outputs]
    classifier = classifier_of(
        tmp_path, engine=engine, output_names=names[::-1], main_indicator="groups", groups=GROUPS
    )
    told = classifier.describe()
    assert (told["output_name"], told["ignored_outputs"]) == (", ".join(names[::-1]), [])
    assert (told["main_indicator"], told["postprocess"]) == ("groups", {"groups": GROUPS})
    scores = heads_scores(BATCH, AGE, GENDER)
    for row, entry in zip(scores, classifier.classify(BATCH), strict=True):
        age = int(row[:4].argmax())
        assert entry["class_ids"] == [4, age]
        assert entry["label_names"] == [
            "female" if row[4] > 0.5 else "male",
            ["child", "young", "adult", "old"][age],
        ]
        assert entry["scores"] == pytest.approx([row[4], row[age]], abs=2e-5)
        assert list(entry["groups"]) == ["gender", "age"]


@pytest.mark.parametrize(
    ("form", "num_outputs"),
    [("PersonAttribute", 26), ("VehicleAttribute", 19), ("TableAttribute", 6), ("FaceAttribute", 40)],
)
def test_an_attribute_model_answers_texts_bits_and_the_names_of_its_outputs(
    tmp_path: Path, form: str, num_outputs: int, caplog: pytest.LogCaptureFixture
) -> None:
    model, scores = model_of(tmp_path, num_outputs)
    (model / "inference.yml").write_text(yaml.safe_dump({"PostProcess": {form: None}}))
    with caplog.at_level(logging.INFO, "clas_system"):
        classifier = classifier_of(model)
    thresholds = np.full(num_outputs, 0.65 if form == "FaceAttribute" else 0.5)
    if form == "PersonAttribute":
        thresholds[[1, 18]] = 0.3, 0.6
    for row, entry in zip(scores, classifier.classify(BATCH), strict=True):
        assert entry["output"] == (row > thresholds).astype(int).tolist()
        assert entry["attributes"]
        assert sorted(entry["class_ids"]) == np.flatnonzero(row > thresholds).tolist()
        assert entry["scores"] == sorted(entry["scores"], reverse=True)
        assert len(entry["label_names"]) == len(entry["class_ids"])
        assert all(entry["label_names"])
    assert classifier.describe()["warnings"] == []  # sigmoids needn't have the sum 1
    assert f"main_indicator: {form}, " in caplog.text


def test_names_that_are_given_take_the_place_of_a_forms_own(tmp_path: Path) -> None:
    model, _ = model_of(tmp_path, 6)
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{number} n{number}\n" for number in range(6)))
    classifier = classifier_of(model, main_indicator="TableAttribute", class_id_map_file=str(labels))
    for entry in classifier.classify(BATCH):
        assert entry["label_names"] == [f"n{class_id}" for class_id in entry["class_ids"]]


def test_a_regression_answers_its_number(tmp_path: Path) -> None:
    model, scores = model_of(tmp_path, 1)
    classifier = classifier_of(model, main_indicator="ScoreOutput", decimal_places=3)
    found = [entry["value"] for entry in classifier.classify(BATCH)]
    assert found == pytest.approx(scores[:, 0], abs=1e-3)
    assert classifier.describe()["warnings"] == []


@pytest.mark.parametrize("section", [{"NormalizeFeatures": None}, None])
def test_features_are_answered_as_such_without_a_warning(tmp_path: Path, section: object) -> None:
    model, scores = model_of(tmp_path, 32)
    given = {}
    if section:
        (model / "inference.yml").write_text(yaml.safe_dump({"PostProcess": section}))
        scores = scores / np.linalg.norm(scores, axis=1, keepdims=True)
    else:
        given = {"main_indicator": "features"}
    classifier = classifier_of(model, **given)
    entries = classifier.classify(BATCH)
    np.testing.assert_allclose(np.array([entry["feature"] for entry in entries]), scores, atol=1e-5)
    assert {len(entry["class_ids"]) for entry in entries} == {0}
    assert classifier.describe()["warnings"] == []


def test_one_of_several_classes_or_the_default_has_its_name(tmp_path: Path) -> None:
    model, scores = model_of(tmp_path, 4)
    (tmp_path / "names.txt").write_text("0\tone cat\n1\tone dog\n2\tnothing\n3\ta bird\n")
    options = {
        "threshold": 0.9,
        "default_label_index": 2,
        "class_id_map_file": "names.txt",
        "delimiter": "\t",
    }
    (model / "inference.yml").write_text(yaml.safe_dump({"PostProcess": {"ThreshOutput": options}}))
    names = ["one cat", "one dog", "nothing", "a bird"]
    for row, entry in zip(scores, classifier_of(model).classify(BATCH), strict=True):
        chosen = int(row.argmax()) if row.max() > 0.9 else 2
        assert (entry["class_ids"], entry["label_names"]) == ([chosen], [names[chosen]])
    (tmp_path / "names.txt").unlink()
    with pytest.raises(LabelFileError, match="there is no label file"):
        classifier_of(model)


def test_two_classes_may_be_named_by_a_list_in_the_file(tmp_path: Path) -> None:
    model, scores = model_of(tmp_path, 2)
    options = {"threshold": 0.5, "label_list": ["nobody", "someone"]}
    (model / "inference.yml").write_text(yaml.safe_dump({"PostProcess": {"ThreshOutput": options}}))
    found = [entry["label_names"] for entry in classifier_of(model).classify(BATCH)]
    assert found == [["someone"] if row[1] >= 0.5 else ["nobody"] for row in scores]


def test_min_score_leaves_none_of_them(tmp_path: Path) -> None:
    model, scores = model_of(tmp_path, 4)
    least = float(np.sort(scores.max(axis=1))[2])  # two images have nothing as good
    classifier = classifier_of(model, min_score=round(least - 1e-4, 4), topk=1, softmax=False)
    counts = [len(entry["class_ids"]) for entry in classifier.classify(BATCH)]
    assert counts == [int(row.max() >= round(least - 1e-4, 4)) for row in scores]
    assert 0 in counts


def test_a_form_that_the_model_does_not_fit_ends_the_start(tmp_path: Path) -> None:
    model, _ = model_of(tmp_path, 6)
    with pytest.raises(SettingsError, match="main_indicator is PersonAttribute, which is for 26 outputs"):
        classifier_of(model, main_indicator="PersonAttribute")


def test_nested_values_come_as_json_from_a_flag(tmp_path: Path) -> None:
    model, scores = model_of(tmp_path, 6)
    threshold = json.dumps({"default": 0.5, "3": 0.2})
    classifier = classifier_of(model, main_indicator="MultiLabelThreshOutput", threshold=threshold)
    thresholds = np.array([0.5, 0.5, 0.5, 0.2, 0.5, 0.5])
    for row, entry in zip(scores, classifier.classify(BATCH), strict=True):
        assert sorted(entry["class_ids"]) == np.flatnonzero(row >= thresholds).tolist()
    assert classifier.describe()["threshold"] == {"default": 0.5, "3": 0.2}
