"""What a request costs the standalone server in each form of either protocol, the model apart.

    python benchmarks/wires.py

The model only averages each channel of 224 x 224 pixels; so what is measured is nearly all HTTP, JSON, base64
and preprocessing. One client sends one image at a time.
"""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import repository  # noqa: F401  # lets Python find the rest

# isort: split
from cheap_model import INPUT, write_model
from servers import standalone
from usage import Meter

from clas.protocol import MODELS_PATH, MODULE_NAME, OPERATIONS, PREDICT_PATH, files_body, tensor_body
from demo import photograph

_SIDE: Final = 224
_INFER: Final = f"{MODELS_PATH}/{MODULE_NAME}/infer"
_JSON: Final = {"Content-Type": "application/json"}


class Request(NamedTuple):
    """One form of a request."""

    name: str
    path: str
    body: bytes
    headers: Mapping[str, str]


def main() -> int:
    """Measure, and print a row for each form."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="over which the median is taken (default: 5)")
    parser.add_argument("--requests", type=int, default=200, help="a round, of each form (default: 200)")
    args = parser.parse_args()
    requests = make_requests()
    costs: dict[str, list[float]] = {request.name: [] for request in requests}
    with tempfile.TemporaryDirectory() as directory:
        write_model(Path(directory))
        options = ("--class_id_map_file", "", "--engine", "openvino")
        with standalone(options, model=Path(directory)) as running:
            connection = http.client.HTTPConnection("127.0.0.1", urlsplit(running.url).port or 0, timeout=60)
            for _ in range(args.rounds):
                for request in requests:
                    costs[request.name].append(measure(connection, request, running.mark, args.requests))
    print("| Form of one image | Bytes | CPU ms a request |\n|---|---|---|")
    for request in requests:
        print(f"| {request.name} | {len(request.body):,} | {statistics.median(costs[request.name]):.2f} |")
    return 0


def make_requests() -> list[Request]:
    """One image in each form."""
    rng = np.random.default_rng(0)
    tensor = rng.standard_normal((1, 3, _SIDE, _SIDE), np.float32)
    pixels = rng.integers(0, 256, (1, _SIDE, _SIDE, 3), np.uint8)
    file = photograph("rocket.jpg").read_bytes()
    with_length = len(file).to_bytes(4, "little") + file
    return [
        Request("`/predict`, float32, base64", PREDICT_PATH, tensor_body(tensor), _JSON),
        binary_request("`/v2`, FP32, binary", "FP32", tensor.shape, tensor.tobytes()),
        numbers_request(tensor),
        Request("`/predict`, uint8, base64", PREDICT_PATH, tensor_body(pixels, OPERATIONS), _JSON),
        binary_request("`/v2`, UINT8, binary", "UINT8", pixels.shape, pixels.tobytes()),
        Request("`/predict`, image file, base64", PREDICT_PATH, files_body([file]), _JSON),
        Request("`/predict`, image file as the body", PREDICT_PATH, file, {"Content-Type": "image/jpeg"}),
        binary_request("`/v2`, BYTES, binary", "BYTES", (1,), with_length),
    ]


def binary_request(name: str, datatype: str, shape: tuple[int, ...], data: bytes) -> Request:
    """A request of the Open Inference Protocol with binary data, which asks for five classes."""
    parameters = {"binary_data_size": len(data)}
    image = {"name": INPUT, "shape": shape, "datatype": datatype, "parameters": parameters}
    head = json.dumps({"inputs": [image], **_wanted()}).encode()
    return Request(name, _INFER, head + data, {"Inference-Header-Content-Length": str(len(head))})


def numbers_request(tensor: np.ndarray[Any, Any]) -> Request:
    """The same with the numbers in JSON."""
    image = {"name": INPUT, "shape": tensor.shape, "datatype": "FP32", "data": tensor.ravel().tolist()}
    return Request(
        "`/v2`, FP32, numbers in JSON", _INFER, json.dumps({"inputs": [image], **_wanted()}).encode(), _JSON
    )


def _wanted() -> dict[str, object]:
    return {"outputs": [{"name": "scores", "parameters": {"classification": 5}}]}


def measure(connection: http.client.HTTPConnection, request: Request, mark: str, count: int) -> float:
    """Return the server's CPU time of a request, in milliseconds."""
    ask(connection, request)
    with Meter(mark) as meter:
        for _ in range(count):
            ask(connection, request)
    return 1000 * meter.usage.cpu_s / count


def ask(connection: http.client.HTTPConnection, request: Request) -> None:
    """Send a request, and read its answer."""
    connection.request("POST", request.path, request.body, dict(request.headers))
    response = connection.getresponse()
    body = response.read()
    if response.status != http.client.OK:
        raise ValueError(f"{request.name} was answered {response.status}: {body[:200]!r}")


if __name__ == "__main__":
    sys.exit(main())
