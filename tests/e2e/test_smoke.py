"""The standalone server from start to stop, with each form of request; `make versions` runs it, too."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests

from clas.protocol import tensor_body
from serving_process import REPOSITORY, clas_serving, tiny_config

BLUE_GREEN_RED = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
CLASSES = [2, 1, 0]  # the tiny model names the brightest of R, G and B


def bodies() -> list[bytes]:
    """Three images of one colour, in each form."""
    images = [np.full((48, 48, 3), colour, np.uint8) for colour in BLUE_GREEN_RED]
    pixels = np.stack([image[:32, :32, ::-1] for image in images])
    numbers = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
    files = [base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode() for image in images]
    return [
        tensor_body(numbers),
        tensor_body(pixels, ["normalize", "to_chw"]),
        json.dumps({"images": files}).encode(),
    ]


@pytest.mark.parametrize("more", [{}, {"use_multiprocess": True, "workers": 2}], ids=["single", "workers"])
def test_every_form_is_answered(tiny_model: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    with clas_serving(tmp_path, config=tiny_config(tiny_model, **more)) as server:
        for body in bodies():
            answer = requests.post(
                server.url, data=body, headers={"Content-Type": "application/json"}, timeout=30
            )
            assert answer.status_code == 200, answer.text
            predictions = answer.json()["results"]["prediction"]
            assert [entry["class_ids"][0] for entry in predictions] == CLASSES
        form = requests.post(
            server.url,
            files={"images": cv2.imencode(".jpg", np.full((40, 40, 3), 9, np.uint8))[1].tobytes()},
            timeout=30,
        )
        assert form.status_code == 200, form.text
        for path in ("/health/live", "/health/ready", "/metrics", "/docs", "/ui"):
            assert requests.get(f"{server.base}{path}", timeout=30).status_code == 200


def test_the_client_runs_in_the_environment_of_a_server(tiny_model: Path, tmp_path: Path) -> None:
    image = np.full((48, 48, 3), BLUE_GREEN_RED[2], np.uint8)
    (tmp_path / "red.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    with clas_serving(tmp_path, config=tiny_config(tiny_model)) as server:
        flags = ["--server_url", server.url, "--image_file", "red.png", "--wire", "encoded", "--top_k", "1"]
        command = [sys.executable, "-W", "ignore", str(REPOSITORY / "test_hubserving.py"), *flags]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("File:red.png, The result(s): class_ids: [0]")
