"""A model that comes with an inference.yml, behind either server."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from clas.errors import ModelConfigError
from faces import USES_HUB
from hub_server import hub_serving
from known_answers import PHOTOGRAPHS
from server_process import free_port
from serving_process import clas_serving, run
from tiny_models import bright_channels, solid_batch, write_model
from wire import encode

OPERATIONS = [
    {"ResizeImage": {"resize_short": 48, "interpolation": "bicubic", "backend": "pil"}},
    {"CropImage": {"size": 32}},
    {"NormalizeImage": {"scale": "1.0/255.0", "mean": [0.1, 0.4, 0.5], "std": [0.4, 0.2, 0.1], "order": ""}},
    {"ToCHWImage": None},
]
LABELS = ["红", "绿", "蓝", "d", "e", "f"]


def write_files(directory: Path, *operations: object) -> Path:
    """The tiny model with its inference.yml."""
    write_model(directory)
    postprocess = {"Topk": {"topk": 3, "label_list": LABELS}}
    content = {"PreProcess": {"transform_ops": [*OPERATIONS, *operations]}, "PostProcess": postprocess}
    (directory / "inference.yml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return directory


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_files(tmp_path / "model")


def config_of(model: Path, **more: object) -> dict[str, object]:
    module = {"init_args": {"inference_model_dir": str(model), "cpu_num_threads": 1}, "predict_args": {}}
    return {"modules_info": {"clas_system": module}, **more}


def client(repository: Path, url: str, image_folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "test_hubserving.py", "--server_url", url, "--image_file", str(image_folder)]
    return subprocess.run(
        [*command, *flags], cwd=repository, capture_output=True, text=True, check=False, timeout=120
    )


def results(done: subprocess.CompletedProcess[str]) -> list[tuple[str, list[float]]]:
    """For each image all but the scores, and the scores."""
    assert done.returncode == 0, done.stderr
    lines = [line.partition(", scores: ") for line in done.stdout.splitlines() if line.startswith("File:")]
    assert len(lines) == len(PHOTOGRAPHS)
    return [(head, json.loads(scores)) for head, _, scores in lines]


def test_the_standalone_server_and_its_client_follow_the_file(
    repository: Path, model: Path, image_folder: Path, tmp_path: Path
) -> None:
    with clas_serving(tmp_path, config=config_of(model)) as running:
        told = requests.get(f"{running.base}/", timeout=30).json()["model"]
        by_server = results(client(repository, running.url, image_folder, "--wire", "encoded"))
        for wire in ("float32", "uint8"):
            flags = ["--preprocess", "server", "--batch_size", "2", "--wire", wire]
            of_client = results(client(repository, running.url, image_folder, *flags))
            assert [head for head, _ in of_client] == [head for head, _ in by_server]
            for (_, found), (_, wanted) in zip(of_client, by_server, strict=True):
                assert found == pytest.approx(wanted, abs=1e-4)
        own = ["--resize_short", "48", "--crop_size", "32"]  # ImageNet's mean and std: not this model's
        assert results(client(repository, running.url, image_folder, *own)) != by_server
        log = running.log.read_text()
    assert told["inference_yml"]
    assert told["preprocess"]["std"] == [0.4, 0.2, 0.1]
    assert re.search(r"label_names: \['[红绿蓝]', '", by_server[0][0])
    assert f"inference.yml: {model / 'inference.yml'}, in place of params.py: " in log
    assert "preprocess: resize_short: 48, crop_size: 32, resize_size: [], interpolation: bicubic" in log


def test_images_that_are_not_cropped_are_answered_in_every_form(
    repository: Path, image_folder: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model")
    operations = [{"DecodeImage": {"to_rgb": False}}, OPERATIONS[0], *OPERATIONS[2:]]
    postprocess = {"Topk": {"topk": 3, "label_list": LABELS}}
    content = {"PreProcess": {"transform_ops": operations}, "PostProcess": postprocess}
    (model / "inference.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with clas_serving(tmp_path, config=config_of(model)) as running:
        told = requests.get(f"{running.base}/", timeout=30).json()["model"]
        flags = ["--wire", "encoded", "--batch_size", "3"]
        by_server = results(client(repository, running.url, image_folder, *flags))
        for wire in ("float32", "uint8"):
            flags = ["--preprocess", "server", "--wire", wire]
            of_client = results(client(repository, running.url, image_folder, *flags))
            assert [head for head, _ in of_client] == [head for head, _ in by_server]
            for (_, found), (_, wanted) in zip(of_client, by_server, strict=True):
                assert found == pytest.approx(wanted, abs=1e-4)
    assert told["preprocess"]["transform_ops"][0] == {"DecodeImage": {"img_mode": "BGR"}}
    assert told["input_shape"] == [None, 3, None, None]


@USES_HUB
def test_paddlehub_follows_the_file_and_a_client_that_asks_it_is_told_what_to_do(
    repository: Path, model: Path, image_folder: Path, installed: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(model, port=port, use_multiprocess=False, workers=1)))
    url = f"http://127.0.0.1:{port}/predict/clas_system"
    with hub_serving(["-c", str(config)], port, tmp_path / "log", installed, tmp_path):
        by_server = results(client(repository, url, image_folder, "--wire", "encoded"))
        asked = client(repository, url, image_folder, "--preprocess", "server")
    assert re.search(r"label_names: \['[红绿蓝]', '", by_server[0][0])
    assert asked.returncode == 1
    assert "it doesn't describe its preprocessing, as PaddleHub's server never does: remove" in asked.stderr
    assert "preprocess: resize_short: 48, crop_size: 32" in (tmp_path / "log").read_text()


TWO_CLASSES: dict[str, object] = {
    "main_indicator": "ThreshOutput",
    "Topk": {"topk": 5},
    "ThreshOutput": {"threshold": 0.9, "label_0": "不蓝", "label_1": "蓝"},
}
SEVERAL_LABELS: dict[str, object] = {
    "MultiLabelThreshOutput": {"threshold": 0.9, "label_list": ["红", "绿", "蓝"]}
}


def write_postprocess(directory: Path, num_outputs: int, postprocess: dict[str, object]) -> Path:
    write_model(directory, bright_channels(num_outputs))
    (directory / "inference.yml").write_text(yaml.safe_dump({"PostProcess": postprocess}), encoding="utf-8")
    return directory


def solid_request() -> dict[str, Any]:
    """A blue image and a black one."""
    return encode(np.concatenate([solid_batch(2), np.zeros((1, 3, 32, 32), np.float32)]))


def test_the_standalone_server_answers_several_labels(tmp_path: Path) -> None:
    config = config_of(write_postprocess(tmp_path / "model", 3, SEVERAL_LABELS))
    with clas_serving(tmp_path, config=config) as running:
        answer = requests.post(running.url, json=solid_request(), timeout=60).json()
        assert answer["status"] == "000", answer
        assert answer["results"]["prediction"] == [
            {"class_ids": [2], "scores": [0.99331], "label_names": ["蓝"]},
            {"class_ids": [], "scores": [], "label_names": []},
        ]


@USES_HUB
@pytest.mark.usefixtures("logger_as_it_was")
def test_paddlehubs_module_answers_one_of_two_classes(tmp_path: Path) -> None:
    model = write_postprocess(tmp_path / "model", 1, TWO_CLASSES)
    module = importlib.import_module("clas.module").ClasSystem(inference_model_dir=str(model))
    assert module.serving_method(**solid_request())["prediction"] == [
        {"class_ids": [1], "scores": [0.99331], "label_names": ["蓝"]},
        {"class_ids": [0], "scores": [0.99331], "label_names": ["不蓝"]},
    ]


@USES_HUB
@pytest.mark.usefixtures("logger_as_it_was")
def test_an_operation_that_is_not_known_ends_the_start_of_both_with_its_name(tmp_path: Path) -> None:
    model = write_files(tmp_path / "model", {"RandErasing": {"probability": 0.5}})
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(model, port=0)))
    text = f"{model / 'inference.yml'}: transform_ops has an operation 'RandErasing', which is not supported"
    standalone = run(tmp_path, "start", "-c", str(config))
    assert standalone.returncode == 1
    assert f"ModelConfigError: {text}\n" in standalone.stdout
    with pytest.raises(ModelConfigError) as raised:
        importlib.import_module("clas.module").ClasSystem(inference_model_dir=str(model))
    assert str(raised.value) == text
