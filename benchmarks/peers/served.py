"""What the peers' servers share: this repository's engine, preprocessing and wire, without its HTTP part.

A server of a peer brings the framework: HTTP, queues, batching, processes. All that is computed for an image
is what `clas.serving` computes, so that a difference in a benchmark comes from the framework. A request is
either one image file (the body as it is) or the tensor form of `clas.protocol`; which of them is told by the
first byte, since mosec shows a worker the body only.
"""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

import msgspec
import numpy as np

from clas.engine.base import Engine, EngineClass
from clas.engine.choice import files_for
from clas.engine.devices import available_cores
from clas.engine.paddle import PaddleEngine
from clas.image.model_input import ModelInput, Prepared
from clas.model.exported import read_exported_model
from clas.output.base import Postprocessor, Prediction
from clas.pipeline import Pipeline
from clas.protocol import decode
from clas.settings import Settings

MAX_BATCH_SIZE: Final = 4
"""Images that go through the model at once, requests that a framework may gather; as ours on a CPU. With 32
the peers answered as many or fewer, and later."""
MAX_BODY_BYTES: Final = 64 * 2**20
"""Room for 32 images in the tensor form (26 MB), and more."""
TIMEOUT_S: Final = 60
"""None of the requests of a benchmark shall fail for waiting."""


class _Body(msgspec.Struct):
    """The tensor form; as in serving/http/request_body.py, the base64 text isn't made a Python object."""

    images: msgspec.Raw
    revert_params: dict[str, object]


_read_body: Final = msgspec.json.Decoder(_Body).decode
_INPUT_SHAPE: Final = (None, 3, 224, 224)
_NUM_CLASSES: Final = 1000


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line of a peer's server.

    Attributes:
        port: Where it listens, on 127.0.0.1 only.
        model_dir: Directory of the model.
        threads: CPU threads of one predictor.
        predictors: Processes with a predictor each.
        wait_ms: How long the framework may wait for more requests to make a batch of.
    """

    port: int
    model_dir: Path
    threads: int
    predictors: int
    wait_ms: float


@dataclasses.dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes:
        engine: Computes.
        input: Turns a request into what the model takes.
        output: Turns scores into results.
    """

    engine: Engine
    input: ModelInput
    output: Postprocessor


class Results(TypedDict):
    """The `results` of an answer."""

    prediction: list[Prediction]
    elapse: float


class Answer(TypedDict):
    """The envelope of `clas.serving`."""

    status: str
    msg: str
    results: Results


def parse_arguments(description: str | None, *, threads: int = 0, wait_ms: float = 0) -> Arguments:
    """Read the command line; it is the same for all peers.

    However many `threads` a predictor has, all cores are used: there are as many predictors as fill them.

    Args:
        description: What `--help` says first.
        threads: Default of `--threads`; 0 stands for all cores. The one that was best for this peer.
        wait_ms: Default of `--wait_ms`; likewise.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--model_dir", type=Path, required=True, help="directory of the model")
    parser.add_argument(
        "--threads", type=int, default=threads, help="of one predictor; 0: all cores (default: %(default)s)"
    )
    parser.add_argument(
        "--wait_ms", type=float, default=wait_ms, help="for more requests (default: %(default)s)"
    )
    args = parser.parse_args()
    cores = available_cores()
    per_predictor = args.threads or cores
    predictors = max(1, cores // per_predictor)
    return Arguments(args.port, args.model_dir.absolute(), per_predictor, predictors, args.wait_ms)


def load_model(model_dir: Path, threads: int, engine_class: EngineClass = PaddleEngine) -> Model:
    """The model, loaded and warmed up, with MKL-DNN; as `clas.serving` loads it.

    Args:
        model_dir: Directory of the model.
        threads: CPU threads of one prediction.
        engine_class: Runs it.
    """
    engine_class.prepare_process()  # without Paddle's signal handlers, which would end a worker in the middle
    settings = Settings(
        inference_model_dir=str(model_dir),
        enable_mkldnn=True,
        cpu_num_threads=threads,
        max_batch_size=MAX_BATCH_SIZE,
        overridden=frozenset({"inference_model_dir"}),
    )
    model = read_exported_model(settings)
    engine = engine_class(files_for(engine_class, model.programs), model.settings, 1)
    pipeline = Pipeline(model, engine.info)
    return Model(engine, pipeline.input, pipeline.output)


def load_input() -> ModelInput:
    """What makes a tensor of a request, for a process of its own: without Paddle, without the model."""
    return ModelInput(Settings(), _INPUT_SHAPE)


def prepare(model_input: ModelInput, body: bytes | bytearray) -> Prepared:
    """Decode a request, and make of it what the model takes.

    Args:
        model_input: That of a model, or `load_input`.
        body: Of the request: JSON in the tensor form, or an image file.
    """
    if not body.startswith(b"{"):
        return model_input.of_images([bytes(body)])  # of mosec it is a bytearray
    fields = _read_body(body)
    tensor = decode(memoryview(fields.images)[1:-1], fields.revert_params)  # without the quotes
    if not isinstance(tensor, np.ndarray):
        raise TypeError("images is a list; a peer takes one tensor, or an image file as the body")
    return model_input.of_batch(tensor)


def classify(model: Model, requests: Sequence[Prepared]) -> list[Answer]:
    """Classify the images of all requests together, up to MAX_BATCH_SIZE at once.

    Returns:
        One answer per request, in order.
    """
    start = time.perf_counter()
    tensors = [tensor for request in requests for tensor in request.tensors]
    nothing = np.empty((0, *(size or 0 for size in _INPUT_SHAPE[1:])), np.float32)
    images = tensors[0] if len(tensors) == 1 else np.concatenate([*tensors, nothing])
    pieces = [images[i : i + MAX_BATCH_SIZE] for i in range(0, len(images), MAX_BATCH_SIZE)]
    scores = [model.engine.run(piece) for piece in pieces]
    rows = (
        scores[0] if len(scores) == 1 else np.concatenate([*scores, np.empty((0, _NUM_CLASSES), np.float32)])
    )
    counts = [request.failures.count(None) for request in requests]
    ends = np.cumsum(counts)
    elapse = time.perf_counter() - start
    return [
        {
            "status": "000",
            "msg": "",
            "results": {
                "prediction": model.output.merge(rows[end - count : end], request.failures, model.output.k),
                "elapse": elapse,
            },
        }
        for request, count, end in zip(requests, counts, ends, strict=True)
    ]
