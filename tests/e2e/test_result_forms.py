"""Results that aren't classes, on all faces: each says the same."""

import base64
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from known_answers import PHOTOGRAPHS
from onnx_models import write_onnx_heads
from serving_process import clas_serving

GROUPS = [
    {"name": "tone", "outputs": [0, 1, 2], "labels": ["红", "绿", "蓝"]},
    {"name": "bright", "outputs": [5], "threshold": 0.5, "labels": ["no", "yes"]},
]
FORMS: dict[str, tuple[int, dict[str, object], list[str]]] = {
    "attributes": (6, {"main_indicator": "TableAttribute"}, ["attributes"]),
    "groups": (6, {"main_indicator": "groups", "groups": GROUPS}, ["tone", "bright"]),
    "value": (1, {"main_indicator": "ScoreOutput", "decimal_places": 3}, ["value"]),
    "feature": (16, {"main_indicator": "NormalizeFeatures", "feature_format": "base64"}, []),
}
"""Field -> the outputs of the model, its settings, and the columns of CSV."""


def run(repository: Path, *arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("field", FORMS)
def test_every_face_tells_a_form_of_results_alike(
    repository: Path, image_folder: Path, tmp_path: Path, field: str
) -> None:
    num_outputs, settings, columns = FORMS[field]
    model = write_onnx_heads(tmp_path / "model", np.random.default_rng(2).normal(0, 2, (3, num_outputs)))
    sizes = {"crop_size": 32, "resize_short": 32, "cpu_num_threads": 1}
    given = {"inference_model_dir": str(model), "class_id_map_file": "", **sizes, **settings}
    config = {"modules_info": {"clas_system": {"init_args": given, "predict_args": {}}}}
    body = {"images": [base64.b64encode((image_folder / name).read_bytes()).decode() for name in PHOTOGRAPHS]}
    with clas_serving(tmp_path, config=config) as running:
        told = requests.get(f"{running.base}/", timeout=30).json()["model"]
        answer = requests.post(running.url, json=body, timeout=30).json()["results"]["prediction"]
        client = ["test_hubserving.py", "--server_url", running.url, "--image_file", image_folder]
        client += ["--wire", "encoded", "--report", tmp_path / "page.html", "--output"]
        printed = run(repository, *client, tmp_path / "a.jsonl")
        run(repository, *client, tmp_path / "a.csv")
        again = run(repository, *client, tmp_path / "a.csv", "--resume")
    assert told["main_indicator"] == settings["main_indicator"]
    assert settings.items() <= {**told, **told["postprocess"]}.items()

    assert all(field in entry for entry in answer)
    by_name = dict(zip(PHOTOGRAPHS, answer, strict=True))
    assert {row.pop("file"): row for row in rows(tmp_path / "a.jsonl")} == by_name
    assert printed.count(f", {field}: ") == len(PHOTOGRAPHS)
    assert f"Images with a result of an earlier run, not in these averages: {len(PHOTOGRAPHS)}" in again
    table = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert list(table[0])[7:] == [*columns, "error"]
    for row in table:
        entry = by_name[row["file"]]
        assert [row[column] for column in columns] == cells_of(entry)
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<h2>") == len(PHOTOGRAPHS)

    flags = [word for name, value in given.items() for word in (f"--{name}", as_flag(value))]
    offline = run(repository, "-m", "clas", image_folder, "--format", "json", *flags)
    found = {Path(row.pop("file")).name: row for row in map(json.loads, offline.splitlines())}
    assert found == by_name


def cells_of(entry: dict[str, Any]) -> list[str]:
    """What the columns of a form have of an answer."""
    if "attributes" in entry:
        return ["; ".join(entry["attributes"])]
    if "value" in entry:
        return [str(entry["value"])]
    return [group["label"] for group in entry.get("groups", {}).values()]


def as_flag(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
