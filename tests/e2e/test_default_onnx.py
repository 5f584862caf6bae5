"""From the export of the default model to the answers of a server, in whatever environment this is run.

`make smoke` runs it in that of `make serve`, which has no Paddle.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from clas.preprocess import DecodeImage, create_transforms
from export_efficientnet_lite import main
from known_answers import PHOTOGRAPHS, assert_right
from serving_process import Running, clas_serving
from wire import encode

pytestmark = pytest.mark.xdist_group("default onnx")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The default model as inference.onnx, and nothing else that could be served."""
    directory = tmp_path_factory.mktemp("smoke")
    model = directory / "model"
    assert main(["--format", "onnx", "--output", str(model)]) == 0
    with clas_serving(directory, "-m", "clas_system", "--inference_model_dir", str(model)) as running:
        yield running


def tensor(folder: Path, *left: str) -> dict[str, Any]:
    """The photographs in tensor form, with some operations left to the server."""
    decode = DecodeImage()
    transforms = create_transforms(normalize="normalize" not in left, to_chw="to_chw" not in left)
    fields = encode(np.stack([transforms(decode((folder / name).read_bytes())) for name in PHOTOGRAPHS]))
    return {**fields, "preprocess": list(left)} if left else fields


def encoded(folder: Path) -> dict[str, Any]:
    """The photographs as whole files."""
    return {"images": [base64.b64encode((folder / name).read_bytes()).decode() for name in PHOTOGRAPHS]}


@pytest.mark.parametrize("form", ["float32", "uint8", "encoded"])
def test_each_form_of_the_wire_gets_the_known_classes(server: Running, photographs: Path, form: str) -> None:
    left = ("normalize", "to_chw") if form == "uint8" else ()
    body = encoded(photographs) if form == "encoded" else tensor(photographs, *left)
    response = requests.post(server.url, json={**body, "top_k": 5}, timeout=60)
    assert response.status_code == 200, response.text
    assert_right(response.json()["results"]["prediction"], PHOTOGRAPHS)


def test_openvino_runs_the_model_and_no_other_engine_is_loaded(server: Running) -> None:
    model = requests.get(server.base, timeout=60).json()["model"]
    assert (model["engine"], model["format"]) == ("openvino", "onnx")
    processes = [server.process, *server.process.children(recursive=True)]
    loaded = [mapped.path for process in processes for mapped in process.memory_maps()]
    assert any("openvino" in path for path in loaded)
    assert not any("paddle/" in path or "onnxruntime" in path for path in loaded)
    assert not any("libgomp" in path for path in loaded)  # which the image of the Dockerfile doesn't have


def test_the_pages_and_metrics_that_need_further_packages_are_there(server: Running) -> None:
    for path in ("/health/ready", "/metrics", "/docs", "/openapi.json", "/ui"):
        assert requests.get(server.base + path, timeout=60).status_code == 200, path
    assert server.metric("clas_images_total") >= 0
