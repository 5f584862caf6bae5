"""The protocol's addresses, around a real model."""

import base64
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clas.errors import PredictionError
from clas.protocol import VERSION
from clas.serving.http.open_inference.tensors import DTYPES
from gates import wait_until
from model_folders import put_broken
from served import ENGINE, SIDE, Served, image_file, served
from tiny_models import HAS_PADDLE, bright_channels, logits, needs_paddle, solid_batch, write_model

MODEL = "/v2/models/clas_system"
INFER = f"{MODEL}/infer"
LENGTH = "Inference-Header-Content-Length"
EXACT = np.exp([10, 0, 0, 0, 0, 0]) / np.exp([10, 0, 0, 0, 0, 0]).sum()
"""The scores of class 0 of the tiny model, and of the others, for an image of one channel."""


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("labels") / "labels.txt"
    file.write_text(
        "".join(f"{number} {name}\n" for number, name in enumerate(["红", "green", "blue", "x", "y", "z"]))
    )
    return file


@pytest.fixture(scope="module")
def service(tiny_model: Path, labels: Path) -> Iterator[Served]:
    with served(tiny_model, settings={"class_id_map_file": str(labels), "topk": 2}) as running:
        yield running


def pixels(*channels: int) -> npt.NDArray[np.uint8]:
    """Images of one colour [N, H, W, 3]."""
    return (solid_batch(*channels, side=SIDE) * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def tensor(array: npt.NDArray[Any], datatype: str, **fields: object) -> dict[str, Any]:
    """An input, with its numbers in JSON."""
    data = array.astype(DTYPES[datatype]).tolist()
    return {"name": "inputs", "shape": list(array.shape), "datatype": datatype, "data": data, **fields}


def image_files(*channels: int) -> dict[str, Any]:
    data = [base64.b64encode(image_file(channel)).decode() for channel in channels]
    return {"name": "inputs", "shape": [len(channels)], "datatype": "BYTES", "data": data}


def with_lengths(*items: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def infer(service: Served, image: dict[str, Any], **fields: object) -> Any:
    return service.client.post(INFER, json={"inputs": [image], **fields})


def infer_binary(service: Served, image: dict[str, Any], data: bytes, **fields: object) -> Any:
    """Send the data behind the JSON, as Triton's clients do: without a content type."""
    image = {**image, "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [image], **fields}).encode()
    headers = {LENGTH: str(len(head))}
    return service.client.post(INFER, content=head + data, headers=headers)


def outputs_of(response: Any) -> dict[str, npt.NDArray[Any]]:
    """Name -> tensor, wherever an answer has it."""
    assert response.status_code == 200, response.text
    length = int(response.headers.get(LENGTH, len(response.content)))
    binary = response.content[length:]
    assert response.headers["Content-Type"] == f"application/{'octet-stream' if binary else 'json'}"
    tensors = {}
    for output in json.loads(response.content[:length])["outputs"]:
        items = output.get("data")
        if items is None:
            size = output["parameters"]["binary_data_size"]
            data, binary = binary[:size], binary[size:]
            items = list(texts_in(data)) if output["datatype"] == "BYTES" else None
            if items is None:
                items = np.frombuffer(data, DTYPES[output["datatype"]])
        tensors[output["name"]] = np.array(items).reshape(output["shape"])
    assert binary == b""
    return tensors


def texts_in(data: bytes) -> Iterator[str]:
    while data:
        [size] = struct.unpack("<I", data[:4])
        yield data[4 : 4 + size].decode()
        data = data[4 + size :]


def assert_error(response: Any, code: int, message: str) -> None:
    """Check a failure against what the protocol says of it; its message begins with `message`."""
    assert response.status_code == code, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-ID"]
    body = response.json()
    assert list(body) == ["error"]
    assert body["error"].startswith(message), body["error"]


# The forms of a request


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "FP64"])
@pytest.mark.parametrize("form", ["nested", "flat", "binary"])
def test_floats_are_the_models_tensor(service: Served, datatype: str, form: str) -> None:
    batch = solid_batch(2, 0, 1)
    image = tensor(batch, datatype)
    if form == "binary":
        del image["data"]
        response = infer_binary(service, image, batch.astype(DTYPES[datatype]).tobytes())
    else:
        flat = {"data": batch.ravel().tolist()} if form == "flat" else {}
        response = infer(service, {**image, **flat})
    scores = outputs_of(response)["scores"]
    wanted = [np.roll(EXACT[:3], best).tolist() + [EXACT[1]] * 3 for best in (2, 0, 1)]
    np.testing.assert_allclose(scores, wanted, atol=1e-6)


@pytest.mark.parametrize("form", ["json", "binary"])
def test_uint8_is_pixels_that_the_server_normalizes(service: Served, form: str) -> None:
    image = tensor(pixels(2, 0, 1), "UINT8")
    if form == "binary":
        del image["data"]
        response = infer_binary(service, image, pixels(2, 0, 1).tobytes())
    else:
        response = infer(service, image)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    logits_ = 10 * (np.eye(3)[[2, 0, 1]] - mean) / std
    powers = np.exp(np.hstack([logits_, np.zeros((3, 3))]))
    wanted = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs_of(response)["scores"], wanted, atol=1e-5)


@pytest.mark.parametrize("form", ["json", "binary"])
def test_bytes_are_whole_image_files(service: Served, form: str) -> None:
    image = image_files(2, 0, 1)
    if form == "binary":
        del image["data"]
        response = infer_binary(service, image, with_lengths(*map(image_file, (2, 0, 1))))
    else:
        response = infer(service, image)
    assert outputs_of(response)["scores"].argmax(axis=1).tolist() == [2, 0, 1]
    same = infer(service, tensor(pixels(2, 0, 1), "UINT8"))
    np.testing.assert_allclose(outputs_of(response)["scores"], outputs_of(same)["scores"], atol=1e-6)


@needs_paddle
def test_of_a_model_that_takes_uint8_the_tensor_is_uint8_too(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", dtype="uint8")
    identity = {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1}
    with served(model, settings=identity) as service:
        [image] = service.client.get(MODEL).json()["inputs"]
        assert image == {"name": "inputs", "datatype": "UINT8", "shape": [-1, 3, SIDE, SIDE]}
        for array in (pixels(1, 2), pixels(1, 2).transpose(0, 3, 1, 2)):
            scores = outputs_of(infer(service, tensor(array, "UINT8")))["scores"]
            assert scores.argmax(axis=1).tolist() == [1, 2]


@needs_paddle
def test_pixels_stay_as_they_lie_for_a_model_with_the_channels_last(tmp_path: Path) -> None:
    shape = (None, SIDE, SIDE, 3)
    model = write_model(
        tmp_path / "model", lambda image: logits(6)(image.transpose([0, 3, 1, 2])), input_shape=shape
    )
    with served(model) as service:
        scores = outputs_of(infer(service, tensor(pixels(1, 2), "UINT8")))["scores"]
        assert scores.argmax(axis=1).tolist() == [1, 2]
        [image] = service.client.get(MODEL).json()["inputs"]
        assert image["shape"] == [-1, SIDE, SIDE, 3]


def test_an_image_that_cannot_be_decoded_fails_the_request_and_is_told(service: Served) -> None:
    computed = len(service.runner.sizes)
    alone = {**image_files(0), "data": ["AAAA"]}
    assert_error(infer(service, alone), 400, "the image can't be decoded: it is none of")
    two = {**image_files(0, 1), "data": [*image_files(0)["data"], "AAAA"]}
    assert_error(infer(service, two), 400, "image 2 of 2: the image can't be decoded: it is none of")
    assert len(service.runner.sizes) == computed


# What comes back


@pytest.mark.parametrize("is_binary", [True, False])
def test_a_request_may_ask_for_any_outputs_in_any_order(service: Served, *, is_binary: bool) -> None:
    names = ["labels", "scores", "class_ids"]
    response = infer(
        service,
        tensor(solid_batch(1, 0), "FP32"),
        outputs=[{"name": name} for name in names],
        parameters={"binary_data_output": is_binary},
    )
    found = outputs_of(response)
    assert list(found) == names
    assert (LENGTH in response.headers) == is_binary
    assert found["class_ids"].tolist() == [[1, 0], [0, 1]]
    assert found["labels"].tolist() == [["green", "红"], ["红", "green"]]
    assert found["scores"].argmax(axis=1).tolist() == [1, 0]


def test_top_k_among_the_parameters_says_how_many_classes(service: Served) -> None:
    asked = {"outputs": [{"name": "class_ids"}], "parameters": {"top_k": 4}}
    found = outputs_of(infer(service, tensor(solid_batch(1), "FP32"), **asked))
    assert found["class_ids"].tolist() == [[1, 0, 2, 3]]
    asked["parameters"] = {"top_k": 7}
    refused = infer(service, tensor(solid_batch(1), "FP32"), **asked)
    assert_error(refused, 400, "top_k is 7; it takes a whole number from 1 to 6")


def test_id_and_parameters_come_back(service: Served) -> None:
    parameters = {"top_k": 1, "mine": "a", "x": 1.5, "y": True}
    sent = {"id": "42", "parameters": {**parameters, "binary_data_output": False}}
    answer = infer(service, tensor(solid_batch(1), "FP32"), **sent).json()
    assert (answer["model_name"], answer["id"], answer["parameters"]) == ("clas_system", "42", parameters)
    plain = infer(service, tensor(solid_batch(1), "FP32")).json()
    assert plain.keys() == {"model_name", "outputs"}


def test_null_stands_for_what_is_missing(service: Served) -> None:
    image = {**tensor(solid_batch(1), "FP32"), "parameters": None}
    response = infer(service, image, id=None, parameters=None, outputs=None, model_name=None)
    assert outputs_of(response)["scores"].argmax() == 1


def test_the_time_is_told_as_in_the_other_protocol(service: Served) -> None:
    timing = infer(service, tensor(solid_batch(1), "FP32")).headers["Server-Timing"]
    assert [part.partition(";")[0] for part in timing.split(", ")] == ["prepare", "queue", "predict"]


@needs_paddle
def test_scores_are_probabilities_where_the_results_are(tmp_path: Path, labels: Path) -> None:
    model = write_model(tmp_path / "model", logits(6))
    with served(model, settings={"class_id_map_file": str(labels)}) as service:
        found = outputs_of(infer(service, tensor(solid_batch(0), "FP32")))
        np.testing.assert_allclose(found["scores"], [EXACT], atol=1e-6)


@needs_paddle
def test_a_threshold_makes_as_many_classes_as_there_are(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", bright_channels(3))
    settings: dict[str, object] = {"main_indicator": "MultiLabelThreshOutput"}
    batch = np.stack([solid_batch(1)[0], solid_batch(1)[0] + solid_batch(2)[0], 0 * solid_batch(0)[0]])
    with served(model, settings=settings) as service:
        asked = {"outputs": [{"name": "class_ids"}]}
        found = outputs_of(infer(service, tensor(batch, "FP32"), **asked))
        assert found["class_ids"].tolist() == [[1, -1], [1, 2], [-1, -1]]


# What is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": []}, "inputs isn't a list of one tensor; the model takes 'inputs' alone"),
        ({"inputs": [1, 2]}, "inputs isn't a list of one tensor"),
        ({"inputs": {}}, "inputs isn't a list of one tensor"),
        ({"inputs": [1]}, "inputs[0] is JSON, but not an object; it takes an object with name, shape"),
        ({"inputs": [{"name": "inputs"}]}, "inputs[0] has no shape; it takes an object with name, shape"),
        ({"inputs": [{"names": "inputs"}]}, "inputs[0] has an unknown name 'names'; did you mean 'name'?"),
        ({"input": []}, "the body has an unknown name 'input'; did you mean 'inputs'?"),
        ({}, "the body has no inputs; it takes an object with inputs, outputs, id"),
        ({"inputs": [], "id": 42}, "id is 42; it takes a text"),
        ({"inputs": [], "model_name": "resnet"}, "model_name is 'resnet', but the address has 'clas_system'"),
        ({"inputs": [], "parameters": {"sequence_id": 1}}, "parameters has 'sequence_id': sequences are not"),
        ({"inputs": [], "parameters": {"priority": 1}}, "parameters has 'priority': priorities are not"),
        ({"inputs": [], "parameters": {"timeout": 9}}, "parameters has 'timeout': time limits of requests"),
        ({"inputs": [], "parameters": {"triton_x": True}}, "parameters has 'triton_x', which is not"),
        ({"inputs": [], "parameters": {"a": [1]}}, "parameters is {'a': [1]}; it takes an object of texts"),
        ({"inputs": [], "parameters": []}, "parameters is []; it takes an object of texts"),
        ({"inputs": [], "parameters": {"binary_data_output": 1}}, "parameters.binary_data_output is 1"),
        ({"inputs": [], "parameters": {"a": "x" * 10_000}}, "parameters has 10008 bytes; it takes up to"),
    ],
)
def test_an_invalid_request_is_refused(service: Served, fields: dict[str, Any], message: str) -> None:
    assert_error(service.client.post(INFER, json=fields), 400, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "x"}, "inputs[0].name is 'x'; the model's input is 'inputs'"),
        ({"name": 1}, "inputs[0].name is 1; it takes a text"),
        (
            {"datatype": "INT8"},
            "inputs[0].datatype is 'INT8'; it takes FP32, FP16, FP64 for the model's tensor",
        ),
        ({"datatype": "fp32"}, "inputs[0].datatype is 'fp32'; it takes FP32"),
        ({"shape": [1, 3, 16, 16]}, "inputs[0].shape is [1, 3, 16, 16]; the model takes [N, 3, 32, 32]"),
        ({"shape": [1, 3, -1, 32]}, "inputs[0].shape is [1, 3, -1, 32]; it takes whole numbers from 1"),
        ({"shape": []}, "inputs[0].shape is []; it takes whole numbers from 1"),
        ({"shape": [1.5]}, "inputs[0].shape is [1.5]; it takes a list of whole numbers"),
        ({"shape": "1"}, "inputs[0].shape is '1'; it takes a list of whole numbers"),
        ({"shape": [2**40, 3, 32, 32]}, "inputs[0].shape is [1099511627776, 3, 32, 32]; it takes whole"),
        ({"shape": [2, 3, 32, 32]}, "inputs[0].data isn't a list of 6144 numbers"),
        ({"datatype": "UINT8"}, "inputs[0].shape is [1, 3, 32, 32]; preprocess takes a batch [N, H, W, 3]"),
        ({"datatype": "BYTES"}, "inputs[0].shape is [1, 3, 32, 32]; with BYTES it takes [N]"),
        ({"datatype": "BYTES", "shape": [1]}, "inputs[0].data isn't a list of 1 base64 texts"),
        ({"data": None}, "inputs[0] takes either data, or parameters.binary_data_size"),
        ({"parameters": {"binary_data_size": 5}}, "inputs[0] takes either data, or"),
        (
            {"parameters": {"binary_size": 5}},
            "inputs[0].parameters has an unknown name 'binary_size'; did you",
        ),
        (
            {"parameters": {"shared_memory_region": "r"}},
            "inputs[0].parameters has 'shared_memory_region': shared memory regions are not supported",
        ),
        ({"data": [1e39] * 3072}, "images holds NaN or infinity"),
    ],
)
def test_an_invalid_input_is_refused(service: Served, change: dict[str, Any], message: str) -> None:
    image = {**tensor(solid_batch(0), "FP32"), **change}
    assert_error(infer(service, image), 400, message)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"inputs": [' + b"[" * 10**5])
def test_what_is_no_json_object_is_refused(service: Served, text: bytes) -> None:
    assert_error(service.client.post(INFER, content=text), 400, "the body is ")


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ("0", f"{LENGTH} is 0, and the body has 2 bytes"),
        ("3", f"{LENGTH} is 3, and the body has 2 bytes"),
        ("-1", f"{LENGTH} is '-1'; it takes a whole number of bytes"),
        ("x", f"{LENGTH} is 'x'; it takes a whole number of bytes"),
        ("9" * 13, f"{LENGTH} is '9999999999999'; it takes a whole number of bytes"),
        ("1", "the body is not JSON: "),
    ],
)
def test_an_invalid_length_of_the_json_is_refused(service: Served, length: str, message: str) -> None:
    assert_error(service.client.post(INFER, content=b"{}", headers={LENGTH: length}), 400, message)


def test_binary_data_that_are_announced_otherwise_are_refused(service: Served) -> None:
    image = tensor(solid_batch(0), "FP32")
    refused = infer_binary(service, image, b"1234")
    assert_error(refused, 400, "inputs[0] takes either data, or parameters.binary_data_size")
    del image["data"]
    assert_error(infer_binary(service, image, b"1234"), 400, "inputs[0] has 4 bytes of data; its shape [1, 3")
    head = json.dumps({"inputs": [{**image, "parameters": {"binary_data_size": 5}}]}).encode()
    refused = service.client.post(INFER, content=head + b"1234", headers={LENGTH: str(len(head))})
    assert_error(refused, 400, "inputs[0] takes either data, or parameters.binary_data_size")


@pytest.mark.parametrize(
    ("headers", "params", "code", "message"),
    [
        ({"Content-Type": "text/plain"}, {}, 415, "Content-Type is text/plain; send application/json or"),
        ({"Content-Encoding": "gzip"}, {}, 415, "Content-Encoding is gzip; send the body as it is"),
        ({}, {"top_k": "1"}, 400, "the address has a query; it takes none"),
    ],
)
def test_a_head_that_asks_for_more_is_refused(
    service: Served, headers: dict[str, str], params: dict[str, str], code: int, message: str
) -> None:
    refused = service.client.post(INFER, content=b"{}", headers=headers, params=params)
    assert_error(refused, code, message)


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", INFER, 405, f"GET is not allowed for {INFER}"),
        ("POST", MODEL, 405, f"POST is not allowed for {MODEL}"),
        ("POST", "/v2/models/other/infer", 404, "there is no model 'other'; this server has clas_system"),
        ("GET", "/v2/models/other", 404, "there is no model 'other'"),
        ("GET", "/v2/models/other/ready", 404, "there is no model 'other'"),
        ("GET", "/v2/models/other/stats", 404, "there is no model 'other'"),
        ("GET", "/v2/nothing", 404, "there is nothing at /v2/nothing; models are at /v2/models/NAME"),
        (
            "GET",
            f"{MODEL}/versions/1/ready",
            404,
            f"there is nothing at {MODEL}/versions/1/ready: models have no",
        ),
        (
            "GET",
            "/v2/systemsharedmemory/status",
            404,
            "there is nothing at /v2/systemsharedmemory/status: shared",
        ),
    ],
)
def test_what_is_not_there_is_refused_in_the_protocols_form(
    service: Served, method: str, path: str, code: int, message: str
) -> None:
    assert_error(service.client.request(method, path), code, message)


# Limits, tokens and failures are those of the other protocol


def test_the_limits_hold(tiny_model: Path) -> None:
    with served(tiny_model, max_request_bytes=50_000, max_queue_images=2) as service:
        assert_error(
            service.client.post(INFER, content=bytes(50_001)), 413, "the body has 50001 bytes or more"
        )
        assert_error(infer(service, image_files(0, 1, 2)), 413, "inputs[0] has 3 images; it takes up to 2")
        image = tensor(solid_batch(0, 1, 2), "FP32")
        del image["data"]
        refused = infer_binary(service, image, solid_batch(0, 1, 2).tobytes())
        assert_error(refused, 413, "the request has 3 images; max_queue_images is 2")
        assert service.queued_images() == 0


def test_a_token_is_needed_but_for_the_probes(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text("0123456789abcdef")
    with served(tiny_model, token_file=str(file)) as service:
        for path in ("/v2", MODEL, f"{MODEL}/ready", f"{MODEL}/stats", INFER, "/v2/health/living"):
            refused = service.client.get(path)
            assert_error(refused, 401, "a valid token is needed")
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert service.client.get(path).status_code == 200


def test_a_model_that_fails_is_answered_500(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        service.runner.fault = PredictionError("no memory")
        assert_error(infer(service, tensor(solid_batch(0), "FP32")), 500, "no memory")


def test_a_request_whose_time_is_over_is_answered_503(tiny_model: Path) -> None:
    with served(tiny_model, timeout_s=0.2) as service, service.runner.gate.closed():
        refused = infer(service, tensor(solid_batch(0), "FP32"))
        assert_error(refused, 503, "there was no time for this request within 0.2 s")
        assert refused.headers["Retry-After"] == "1"


# The server and the model


def test_the_server_tells_its_name_and_extensions(service: Served) -> None:
    for path in ("/v2", "/v2/"):
        response = service.client.get(path, follow_redirects=False)
        assert response.json() == {
            "name": "clas_system",
            "version": VERSION,
            "extensions": [
                *("binary_tensor_data", "classification", "model_configuration"),
                *("parameters", "statistics"),
            ],
        }


def test_the_metadata_are_those_of_the_program(service: Served) -> None:
    assert service.client.get(MODEL).json() == {
        "name": "clas_system",
        "platform": f"{ENGINE}_{'pdmodel' if HAS_PADDLE else 'onnx'}",
        "inputs": [{"name": "inputs", "datatype": "FP32", "shape": [-1, 3, SIDE, SIDE]}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [-1, 6]},
            {"name": "class_ids", "datatype": "INT64", "shape": [-1, -1]},
            {"name": "labels", "datatype": "BYTES", "shape": [-1, -1]},
        ],
    }


def test_the_configuration_has_the_same_without_the_axis_of_the_images(service: Served) -> None:
    assert service.client.get(f"{MODEL}/config").json() == {
        "name": "clas_system",
        "platform": f"{ENGINE}_{'pdmodel' if HAS_PADDLE else 'onnx'}",
        "backend": ENGINE,
        "max_batch_size": 512,
        "input": [{"name": "inputs", "data_type": "TYPE_FP32", "dims": [3, SIDE, SIDE]}],
        "output": [
            {"name": "scores", "data_type": "TYPE_FP32", "dims": [6]},
            {"name": "class_ids", "data_type": "TYPE_INT64", "dims": [-1]},
            {"name": "labels", "data_type": "TYPE_STRING", "dims": [-1]},
        ],
        "dynamic_batching": {},
    }


def test_a_model_that_is_ready_says_so(service: Served) -> None:
    assert service.client.get("/v2/health/live").json() == {"live": True}
    assert service.client.get("/v2/health/ready").json() == {"ready": True}
    assert service.client.get(f"{MODEL}/ready").json() == {"name": "clas_system", "ready": True}


def test_while_it_is_loaded_the_server_lives_but_is_not_ready(tiny_model: Path) -> None:
    may_load = [False]
    with served(tiny_model, before_load=lambda: wait_until(lambda: may_load[0]), wait=False) as service:
        assert service.client.get("/v2/health/live").status_code == 200
        for path in ("/v2/health/ready", f"{MODEL}/ready", MODEL):
            assert_error(service.client.get(path), 503, "the model is being loaded")
        assert_error(infer(service, image_files(0)), 503, "the model is being loaded")
        may_load[0] = True
        wait_until(lambda: service.client.get("/v2/health/ready").status_code == 200)
        assert outputs_of(infer(service, image_files(0)))["scores"].shape == (1, 6)


def test_the_version_of_the_model_is_told_as_in_the_other_protocol(service: Served) -> None:
    answers = [infer(service, image_files(0)), service.post(json={"images": image_files(0)["data"]})]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.headers["X-Model-Version"] for answer in answers} == {service.pool.version}
    for answer in (infer(service, image_files(0), x=1), service.post(json={"images": []})):
        assert answer.status_code == 400
        assert "X-Model-Version" not in answer.headers


def asked(service: Served, method: str, path: str) -> Any:
    body: dict[str, Any] = {"json": {"inputs": [image_files(0)]}} if method == "POST" else {}
    return service.client.request(method, path, **body)


@pytest.mark.parametrize("name", ["rose", "lily"])
def test_each_of_several_models_answers_under_its_name(flowers: Path, name: str) -> None:
    with served(repository=flowers) as service:
        path = f"/v2/models/{name}"
        answer = asked(service, "POST", f"{path}/infer")
        assert outputs_of(answer)["scores"][0].argmax() == {"rose": 0, "lily": 2}[name]
        assert answer.json()["model_name"] == name
        assert answer.headers["X-Model-Version"] == service.models[name].version
        for what in ("", "/config", "/ready"):
            assert asked(service, "GET", f"{path}{what}").json()["name"] == name
        [statistics] = asked(service, "GET", f"{path}/stats").json()["model_stats"]
        assert (statistics["name"], statistics["inference_count"]) == (name, 1)
        every = asked(service, "GET", "/v2/models/stats").json()["model_stats"]
        counts = {"lily": 0, "rose": 0, name: 1}
        assert [(one["name"], one["inference_count"]) for one in every] == list(counts.items())


def test_a_model_that_is_asked_for_is_loaded_for_its_metadata_too(flowers: Path) -> None:
    with served(repository=flowers, max_loaded_models=1) as service:
        assert asked(service, "GET", "/v2/models/rose/ready").status_code == 200
        assert asked(service, "GET", "/v2/models/rose/stats").status_code == 200
        assert service.states() == {"lily": "ready", "rose": "idle"}
        for what in ("", "/config"):
            for name in ("rose", "lily"):
                assert asked(service, "GET", f"/v2/models/{name}{what}").json()["name"] == name
                assert service.states()[name] == "ready"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [("break", 503, "the model rose is unavailable: "), ("unload", 404, "the model rose is unloaded")],
)
def test_a_model_that_does_not_answer_says_why_and_leaves_the_others(
    flowers: Path, change: str, code: int, message: str
) -> None:
    if change == "break":
        put_broken(flowers / "rose")
    with served(repository=flowers) as service:
        if change == "unload":
            service.call(service.models.unload, "rose")
        for method, what in (("POST", "/infer"), ("GET", ""), ("GET", "/config"), ("GET", "/ready")):
            refused = asked(service, method, f"/v2/models/rose{what}")
            assert refused.status_code == code
            assert refused.json()["error"].startswith(message)
            assert str(flowers) not in refused.text
            assert asked(service, method, f"/v2/models/lily{what}").status_code == 200
        assert asked(service, "GET", "/v2/health/ready").status_code == 200
        assert asked(service, "GET", "/v2/models/stats").status_code == 200


def test_the_statistics_count_what_both_protocols_do(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        [before] = service.client.get(f"{MODEL}/stats").json()["model_stats"]
        assert (before["last_inference"], before["inference_count"]) == (0, 0)
        assert infer(service, tensor(solid_batch(0, 1), "FP32")).status_code == 200
        assert service.post(content=image_file(0), headers={"Content-Type": "image/png"}).status_code == 200
        assert infer(service, {**tensor(solid_batch(0), "FP32"), "name": "x"}).status_code == 400
        service.client.get("/health/live")
        [found] = service.client.get(f"{MODEL}/stats").json()["model_stats"]
        assert service.client.get("/v2/models/stats").json() == {"model_stats": [found]}
    assert (found["name"], found["batch_stats"]) == ("clas_system", [])
    assert (found["inference_count"], found["execution_count"]) == (3, 2)
    assert abs(found["last_inference"] / 1000 - time.time()) < 60
    durations = found["inference_stats"]
    assert {name: entry["count"] for name, entry in durations.items()} == {
        "success": 2,
        "fail": 1,
        "queue": 2,
        "compute_input": 2,
        "compute_infer": 2,
        "compute_output": 0,
    }
    assert durations["success"]["ns"] > durations["compute_infer"]["ns"] > 0
    assert 0 < durations["fail"]["ns"] < 60 * 10**9


def test_the_metrics_have_the_address_and_no_other_names(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        infer(service, tensor(solid_batch(0), "FP32"))
        infer(service, tensor(solid_batch(0), "FP32", name="x"))
        for number in range(3):
            service.client.get(f"/v2/models/{number}")
        text = service.client.get("/metrics").text
    assert f'clas_requests_total{{model="clas_system",path="{INFER}",status="200"}} 1.0' in text
    assert f'clas_requests_total{{model="clas_system",path="{INFER}",status="400"}} 1.0' in text
    assert 'clas_requests_total{model="",path="other",status="404"} 3.0' in text
    assert 'clas_request_latency_seconds_count{model="clas_system"} 2.0' in text
