from contextlib import closing
from typing import Any

import pytest

from clas.image.operations import read_operations
from clas.settings import Settings, load_settings
from clas_client.reply import ServiceError, UnreachableError
from clas_client.sender import Sender
from clas_client.server_info import ServerInfo, ask_server
from scripted_service import Reply, scripted_service

DESCRIBED = {
    "resize_short": 48,
    "crop_size": 32,
    "resize_size": [],
    "interpolation": "bicubic",
    "resize_backend": "cv2",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "scale": 1,
}


def ask(front: Reply, path: str = "/predict/clas_system") -> ServerInfo:
    with scripted_service(front=front) as service:
        url = service.url.replace("/predict/clas_system", path)
        with closing(Sender(url, timeout_s=10, retries=0)) as sender:
            return ask_server(sender, url)


def fetch(front: Reply, path: str = "/predict/clas_system") -> Settings:
    return ask(front, path).preprocessing()


@pytest.mark.parametrize(
    "path", ["/predict/clas_system", "/predict/clas_system/", "/behind/predict/clas_system"]
)
def test_what_the_server_describes_becomes_settings(path: str) -> None:
    found = fetch(Reply({"model": {"preprocess": DESCRIBED}}), path)
    assert found == load_settings(DESCRIBED, params={})
    assert (found.mean, found.resize_short) == ((0.5, 0.5, 0.5), 48)


def test_operations_that_are_no_settings_are_taken_over() -> None:
    operations = [{"ResizeImage": {"resize_short": 48}}, {"NormalizeImage": {"channel_num": 4}}]
    described = {**dict.fromkeys(DESCRIBED), "transform_ops": operations}
    found = fetch(Reply({"model": {"preprocess": described}}))
    assert found == Settings(transform_ops=read_operations(operations).listed)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (
            Reply({"model": {"preprocess": {**DESCRIBED, "transform_ops": [{"Blur": {}}]}}}),
            "doesn't support: transform_ops has an operation 'Blur', which is not supported",
        ),
        (
            Reply(b"<html>", 200, "text/html"),
            "HTTP 200; it doesn't describe its preprocessing, as PaddleHub's",
        ),
        (Reply([1]), "it doesn't describe its preprocessing"),
        (Reply({"model": {}}), "it doesn't describe its preprocessing"),
        (Reply({"model": 5}), "it doesn't describe its preprocessing"),
        (Reply({"model": None}), "still loading its model: try again"),
        (
            Reply({"status": "101", "msg": "a valid token is needed"}, 401),
            "HTTP 401: a valid token is needed",
        ),
        (Reply({"msg": "moved\n\x1b[31maway"}, 502), r"HTTP 502: moved \S*away"),
        (Reply({"model": {"preprocess": {"mean": [0, 0, 0]}}}), "doesn't describe its resize_short"),
        (
            Reply({"model": {"preprocess": {**DESCRIBED, "flip": 1}}}),
            "doesn't support: init_args has an unknown name",
        ),
        (
            Reply({"model": {"preprocess": {**DESCRIBED, "std": [0]}}}),
            r"doesn't support: std is \[0\]; it takes a list",
        ),
    ],
)
def test_a_server_that_does_not_describe_it_is_refused_in_one_line(front: Reply, message: str) -> None:
    with pytest.raises(ServiceError, match=message) as caught:
        fetch(front)
    assert "\n" not in str(caught.value)


def test_a_standalone_server_describes_its_model() -> None:
    model = {"name": "tiny", "input_shape": [-1, 3, 32, 32], "classes": 6, "top_k": 5, "threads": 2}
    expected = {f"model's {name}": model[name] for name in ("name", "input_shape", "classes", "top_k")}
    assert ask(Reply({"model": model})).model_facts() == expected
    assert ask(Reply({"model": model}), "/behind/predict/clas_system/").model_facts() == expected


@pytest.mark.parametrize(
    "front", [Reply(b"<html>", 200, "text/html"), Reply({"model": None}), Reply([1]), Reply({"msg": ""}, 401)]
)
def test_a_service_that_does_not_describe_its_model_has_no_facts(front: Reply) -> None:
    found = ask(front)
    assert found.model_facts() == {}
    assert found.predictors is None


def test_a_server_that_can_not_be_reached_has_no_facts() -> None:
    with scripted_service() as service:
        url = service.url
    with closing(Sender(url, 10, 0)) as sender:
        found = ask_server(sender, url)
    assert found.model_facts() == {}
    assert found.predictors is None
    with pytest.raises(UnreachableError, match="can't be reached"):
        found.preprocessing()


def test_a_standalone_server_says_how_many_requests_it_computes_at_once() -> None:
    described = {"model": None, "workers": 3, "predictors": {"serving": 0, "wanted": 2}}
    assert ask(Reply(described)).predictors == 6


@pytest.mark.parametrize(
    "changed",
    [
        {"workers": None},
        {"workers": 0},
        {"workers": True},
        {"predictors": 4},
        {"predictors": {"serving": 2}},
        {"predictors": {"wanted": 1.5}},
        {"predictors": {"wanted": -2}},
    ],
)
def test_what_is_no_number_of_predictors_is_not_believed(changed: dict[str, Any]) -> None:
    assert ask(Reply({"workers": 1, "predictors": {"wanted": 2}, **changed})).predictors is None
