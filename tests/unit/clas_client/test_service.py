from typing import Any

import pytest

from clas.settings import load_settings
from clas_client.answer import ServiceError
from clas_client.sender import Sender
from clas_client.service import fetch_preprocessing
from scripted_service import Reply, scripted_service

TOLD = {
    "resize_short": 48,
    "crop_size": 32,
    "resize_size": [],
    "interpolation": "bicubic",
    "resize_backend": "cv2",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "scale": 1,
}


def fetch(front: Reply, path: str = "/predict/clas_system") -> Any:
    with scripted_service(front=front) as service:
        url = service.url.replace("/predict/clas_system", path)
        sender = Sender(url, timeout_s=10, retries=0)
        try:
            return fetch_preprocessing(sender, url)
        finally:
            sender.close()


@pytest.mark.parametrize(
    "path", ["/predict/clas_system", "/predict/clas_system/", "/behind/predict/clas_system"]
)
def test_what_the_server_tells_becomes_settings(path: str) -> None:
    found = fetch(Reply({"model": {"preprocess": TOLD}}), path)
    assert found == load_settings(TOLD, params={})
    assert (found.mean, found.resize_short) == ((0.5, 0.5, 0.5), 48)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (Reply(b"<html>", 200, "text/html"), "HTTP 200; it doesn't tell its preprocessing, as PaddleHub's"),
        (Reply([1]), "it doesn't tell its preprocessing"),
        (Reply({"model": {}}), "it doesn't tell its preprocessing"),
        (Reply({"model": 5}), "it doesn't tell its preprocessing"),
        (Reply({"model": None}), "still loading its model: try again"),
        (
            Reply({"status": "101", "msg": "a valid token is needed"}, 401),
            "HTTP 401: a valid token is needed",
        ),
        (Reply({"msg": "moved\n\x1b[31maway"}, 502), r"HTTP 502: moved \S*away"),
        (Reply({"model": {"preprocess": {"mean": [0, 0, 0]}}}), "doesn't tell its resize_short"),
        (
            Reply({"model": {"preprocess": {**TOLD, "flip": 1}}}),
            "doesn't know: init_args has an unknown name",
        ),
        (
            Reply({"model": {"preprocess": {**TOLD, "std": [0]}}}),
            r"doesn't know: std is \[0\]; it takes a list",
        ),
    ],
)
def test_a_server_that_does_not_tell_is_refused_in_one_line(front: Reply, message: str) -> None:
    with pytest.raises(ServiceError, match=message) as caught:
        fetch(front)
    assert "\n" not in str(caught.value)
