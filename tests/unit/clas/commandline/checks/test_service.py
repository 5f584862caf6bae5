from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clas.commandline.checks import service
from clas.commandline.checks.inputs import prepare_inputs
from clas.commandline.checks.service import check_engine, check_forms, check_speed
from clas.commandline.trial.images import TrialImages
from clas.errors import ModelLoadError, PredictionError
from clas.model.exported import ExportedModel, read_exported_model
from clas.output.base import Prediction
from clas.settings import load_settings
from onnx_models import write_onnx_model

pytest.importorskip("onnxruntime")  # isn't in every environment

SIZES = {"crop_size": 32, "resize_short": 32, "class_id_map_file": ""}
MODEL = {
    "engine": "openvino",
    "engine_version": "2026.4",
    "device": "CPU",
    "threads": 2,
    "mkldnn": False,
    "precision": "fp32",
    "engines_passed_over": {},
    "warnings": [],
}


def prediction(best: int, score: float = 0.9) -> Prediction:
    return {"class_ids": [best], "scores": [score], "label_names": []}


class Answering:
    """A connection to a server that knows its answers."""

    def __init__(self, answers: list[Prediction] | Exception) -> None:
        self.answers = answers

    def predict(self, _: bytes) -> list[Prediction]:
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    def close(self) -> None:
        pass


@pytest.fixture
def exported(tmp_path: Path) -> ExportedModel:
    directory = write_onnx_model(tmp_path)
    return read_exported_model(load_settings({"inference_model_dir": str(directory), **SIZES}))


def forms(
    exported: ExportedModel, answers: list[Prediction] | Exception, channels: int = 3, **model: object
) -> list[Any]:
    described = {"input_shape": [None, channels, 32, 32], "input_dtype": "float32"}
    inputs = prepare_inputs(TrialImages((), 2), exported.settings, described)
    return list(check_forms(Answering(answers), inputs, exported, {**MODEL, **model}))  # type: ignore[arg-type]


def test_an_engine_that_is_as_asked_for_is_ok() -> None:
    assert list(check_engine(load_settings({}), MODEL)) == [
        ("ok", "engine", "openvino 2026.4 on the CPU, threads: 2"),
        ("ok", "precision", "fp32"),
    ]


@pytest.mark.parametrize(
    ("settings", "model", "item"),
    [
        ({"use_gpu": True}, {}, ("FAILED", "engine", "openvino 2026.4 on the CPU, threads: 2")),
        ({}, {"engine": "paddle"}, ("warning", "engine", service._SLOW)),
        ({"precision": "bf16"}, {}, ("warning", "precision", "fp32, not bf16 as was asked for")),
        ({}, {"warnings": ["the labels"]}, ("warning", "model", "the labels")),
        (
            {},
            {"engines_passed_over": {"openvino": "it crashed"}},
            ("warning", "passed over", "it crashed"),
        ),
        (
            {},
            {"engines_passed_over": {"nothing": "isn't installed"}},
            ("ok", "passed over", "isn't installed"),
        ),
    ],
)
def test_an_engine_that_is_not_as_asked_for_is_told(
    settings: dict[str, object], model: dict[str, object], item: tuple[str, str, str]
) -> None:
    assert item in list(check_engine(load_settings(settings), {**MODEL, **model}))


def test_paddle_without_mkldnn_as_asked_for_is_ok() -> None:
    items = check_engine(load_settings({"enable_mkldnn": False}), {**MODEL, "engine": "paddle"})
    assert {item.state for item in items} == {"ok"}


@pytest.mark.parametrize(
    ("device", "precision", "answers", "state"),
    [
        ("CPU", "fp32", [0.9, 0.9], "ok"),
        ("CPU", "fp32", [0.9, 0.89], "FAILED"),
        ("GPU", "fp32", [0.9, 0.89], "warning"),  # TF32
        ("GPU", "fp32", [0.9, None], "FAILED"),
        ("CPU", "bf16", [0.9, 0.89], "ok"),
        ("CPU", "bf16", [0.9, None], "warning"),
        ("GPU", "fp16", [None, None], "FAILED"),
    ],
)
def test_each_form_is_compared_with_the_reference(
    exported: ExportedModel,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    precision: str,
    answers: list[float | None],
    state: str,
) -> None:
    monkeypatch.setattr(
        service, "run_in_process", lambda *_: ("openvino 2026.4", [prediction(1), prediction(1)])
    )
    given = [prediction(2) if score is None else prediction(1, score) for score in answers]
    reference, *items = forms(exported, given, device=device, precision=precision)
    assert reference == ("ok", "reference", "openvino 2026.4 on the CPU, fp32")
    assert [(item.state, item.name) for item in items] == [
        (state, name) for name in ("float32", "uint8", "encoded")
    ]


def test_a_form_that_is_refused_has_failed(exported: ExportedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "run_in_process", lambda *_: ("openvino", [prediction(1)] * 2))
    _, *items = forms(exported, PredictionError("the server answered HTTP 500: no"))
    assert {(item.state, item.text) for item in items} == {("FAILED", "the server answered HTTP 500: no")}


def test_results_that_are_missing_are_told(exported: ExportedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "run_in_process", lambda *_: ("openvino", [prediction(1)] * 2))
    _, *items = forms(exported, [prediction(1)])
    assert {(item.state, item.text) for item in items} == {
        ("FAILED", "the server returned 1 results for 2 images")
    }


def test_forms_that_the_model_does_not_take_are_told(
    exported: ExportedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "run_in_process", lambda *_: ("openvino", [prediction(1)] * 2))
    _, first, *others = forms(exported, [prediction(1)] * 2, channels=1)
    assert (first.state, first.name) == ("ok", "float32")
    assert [(item.state, item.name) for item in others] == [("warning", "uint8"), ("warning", "encoded")]


def test_without_an_engine_for_the_cpu_nothing_is_compared(
    exported: ExportedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelLoadError("it is damaged")

    monkeypatch.setattr(service, "run_in_process", fail)
    assert forms(exported, []) == [
        ("FAILED", "reference", "the model doesn't run on the CPU in fp32: it is damaged")
    ]


def test_the_reference_is_an_engine_on_the_cpu_in_fp32(exported: ExportedModel) -> None:
    name, predictions = service._reference(exported, np.ones((2, 3, 32, 32), np.float32))
    assert name.startswith("openvino ")  # Paddle doesn't read ONNX
    assert [len(each["scores"]) for each in predictions] == [5, 5]


def test_a_server_that_does_not_answer_under_load_has_failed(
    exported: ExportedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = {"input_shape": [None, 3, 32, 32], "input_dtype": "float32"}
    inputs = prepare_inputs(TrialImages((), 2), exported.settings, described)
    monkeypatch.setattr(service, "Connection", lambda _: Answering(PredictionError("no answer")))
    assert check_speed(0, inputs, 0.1) == ("FAILED", "speed", "no answer")
    monkeypatch.setattr(service, "Connection", lambda _: Answering([prediction(1)]))
    item = check_speed(0, inputs, 0.01)
    assert item.state == "ok"
    assert item.text.endswith(" ms: 4 clients, one image a request, uint8")
