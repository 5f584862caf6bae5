"""A model that comes with an inference.yml, behind either server."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
import yaml

from hub_server import hub_serving, run_hub
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


def client(repository: Path, url: str, pictures: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "test_hubserving.py", "--server_url", url, "--image_file", str(pictures)]
    return subprocess.run(
        [*command, *flags], cwd=repository, capture_output=True, text=True, check=False, timeout=120
    )


def results(done: subprocess.CompletedProcess[str]) -> list[tuple[str, list[float]]]:
    """For each picture all but the scores, and the scores."""
    assert done.returncode == 0, done.stderr
    lines = [line.partition(", scores: ") for line in done.stdout.splitlines() if line.startswith("File:")]
    assert len(lines) == len(PHOTOGRAPHS)
    return [(head, json.loads(scores)) for head, _, scores in lines]


def test_the_standalone_server_and_its_client_follow_the_file(
    repository: Path, model: Path, pictures: Path, tmp_path: Path
) -> None:
    with clas_serving(tmp_path, config=config_of(model)) as running:
        told = requests.get(f"{running.base}/", timeout=30).json()["model"]
        by_server = results(client(repository, running.url, pictures, "--wire", "encoded"))
        for wire in ("float32", "uint8"):
            flags = ["--preprocess", "server", "--batch_size", "2", "--wire", wire]
            of_client = results(client(repository, running.url, pictures, *flags))
            assert [head for head, _ in of_client] == [head for head, _ in by_server]
            for (_, found), (_, wanted) in zip(of_client, by_server, strict=True):
                assert found == pytest.approx(wanted, abs=1e-4)
        own = ["--resize_short", "48", "--crop_size", "32"]  # ImageNet's mean and std: not this model's
        assert results(client(repository, running.url, pictures, *own)) != by_server
        log = running.log.read_text()
    assert told["inference_yml"]
    assert told["preprocess"]["std"] == [0.4, 0.2, 0.1]
    assert re.search(r"label_names: \['[红绿蓝]', '", by_server[0][0])
    assert f"inference.yml: {model / 'inference.yml'}, in place of params.py: " in log
    assert "preprocess: resize_short: 48, crop_size: 32, resize_size: [], interpolation: bicubic" in log


def test_paddlehub_follows_the_file_and_a_client_that_asks_it_is_told_what_to_do(
    repository: Path, model: Path, pictures: Path, installed: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(model, port=port, use_multiprocess=False, workers=1)))
    url = f"http://127.0.0.1:{port}/predict/clas_system"
    with hub_serving(["-c", str(config)], port, tmp_path / "log", installed, tmp_path):
        by_server = results(client(repository, url, pictures, "--wire", "encoded"))
        asked = client(repository, url, pictures, "--preprocess", "server")
    assert re.search(r"label_names: \['[红绿蓝]', '", by_server[0][0])
    assert asked.returncode == 1
    assert "it doesn't tell its preprocessing, as PaddleHub's server never does: leave out" in asked.stderr
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


def classify_solid(url: str) -> list[dict[str, object]]:
    """What the service makes of a blue image and a black one."""
    batch = np.concatenate([solid_batch(2), np.zeros((1, 3, 32, 32), np.float32)])
    answer = requests.post(url, json=encode(batch), timeout=60).json()
    assert answer["status"] == "000", answer
    found: list[dict[str, object]] = answer["results"]["prediction"]
    return found


def test_the_standalone_server_answers_several_labels(tmp_path: Path) -> None:
    config = config_of(write_postprocess(tmp_path / "model", 3, SEVERAL_LABELS))
    with clas_serving(tmp_path, config=config) as running:
        assert classify_solid(running.url) == [
            {"class_ids": [2], "scores": [0.99331], "label_names": ["蓝"]},
            {"class_ids": [], "scores": [], "label_names": []},
        ]


def test_paddlehub_answers_one_of_two_classes(installed: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    model = write_postprocess(tmp_path / "model", 1, TWO_CLASSES)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(model, port=port, use_multiprocess=False, workers=1)))
    with hub_serving(["-c", str(config)], port, tmp_path / "log", installed, tmp_path):
        assert classify_solid(f"http://127.0.0.1:{port}/predict/clas_system") == [
            {"class_ids": [1], "scores": [0.99331], "label_names": ["蓝"]},
            {"class_ids": [0], "scores": [0.99331], "label_names": ["不蓝"]},
        ]


def test_an_operation_that_is_not_known_ends_the_start_of_both_with_its_name(
    installed: dict[str, str], tmp_path: Path
) -> None:
    model = write_files(tmp_path / "model", {"RandErasing": {"probability": 0.5}})
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(model, port=free_port(), use_multiprocess=False, workers=1)))
    standalone = run(tmp_path, "start", "-c", str(config))
    hub = run_hub(["serving", "start", "-c", str(config)], installed, tmp_path)
    for done in (standalone, hub):
        assert done.returncode == 1
        assert (
            f"ModelConfigError: {model / 'inference.yml'}: "
            "transform_ops has an operation 'RandErasing', which isn't known here\n"
        ) in done.stdout
