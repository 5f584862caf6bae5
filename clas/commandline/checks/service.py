"""Checks a running server: how it runs the model, and its answers to requests of all three forms."""

import dataclasses
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from ...classifier import Classifier
from ...engine.base import Batch
from ...engine.choice import files_for
from ...errors import ClasError, DeviceError
from ...model.exported import ExportedModel
from ...output.base import Prediction
from ...settings import Settings
from ..trial.agreement import SAME_BEST, Agreement, compare_predictions
from ..trial.process import run_in_process
from ..trial.runs import ENGINES
from ..trial.server import Connection
from .inputs import FLOAT32, FORMS, UINT8, Inputs
from .item import Item
from .machine import is_installed

_AT_ONCE: Final = 4  # images of a request
_CLIENTS: Final = 4
_HALF: Final = 0.5
_SLOW: Final = (
    "MKL-DNN can't run this model, and without it Paddle is several times slower: `python -m clas convert` "
    "makes an inference.onnx for the other engines"
)


def check_engine(settings: Settings, model: Mapping[str, Any]) -> Iterator[Item]:
    """Check how a server runs the model.

    Args:
        settings: What was asked for.
        model: What `GET /` says of it.
    """
    threads = f", threads: {model['threads']}" if model["device"] == "CPU" else ""
    engine = f"{model['engine']} {model['engine_version']} on the {model['device']}{threads}"
    wanted = "GPU" if settings.use_gpu else "CPU"
    yield Item("ok" if model["device"] == wanted else "FAILED", "engine", engine)
    is_slow = model["engine"] == "paddle" and model["device"] == "CPU" and not model["mkldnn"]
    if is_slow and settings.enable_mkldnn:
        yield Item("warning", "engine", _SLOW)
    for name, reason in model["engines_passed_over"].items():
        yield Item("warning" if is_installed(name) else "ok", "passed over", reason)
    remark = (
        "" if model["precision"] == settings.precision else f", not {settings.precision} as was asked for"
    )
    yield Item("warning" if remark else "ok", "precision", model["precision"] + remark)
    for warning in model["warnings"]:
        yield Item("warning", "model", warning)


def check_forms(
    connection: Connection, inputs: Inputs, exported: ExportedModel, model: Mapping[str, Any]
) -> Iterator[Item]:
    """Check the answers to requests of all three forms.

    Args:
        connection: To the server.
        inputs: What is sent.
        exported: The model.
        model: What `GET /` says of it.
    """
    try:
        name, reference = _reference(exported, inputs.tensor)
    except ClasError as exc:
        yield Item("FAILED", "reference", f"the model doesn't run on the CPU in fp32: {exc}")
        return
    yield Item("ok", "reference", f"{name} on the CPU, fp32")
    bodies_of = inputs.bodies(_AT_ONCE)
    for form, bodies in bodies_of.items():
        try:
            answers = [answer for body in bodies for answer in connection.predict(body)]
        except ClasError as exc:
            yield Item("FAILED", form, str(exc))
            continue
        if len(answers) != len(reference):
            text = f"the server returned {len(answers)} results for {len(reference)} images"
            yield Item("FAILED", form, text)
            continue
        agreement = compare_predictions(answers, reference)
        yield _compared(form, agreement, model)
    for form in FORMS:
        if form not in bodies_of:
            yield Item("warning", form, "not tried: the model takes no images")


def check_speed(port: int, inputs: Inputs, seconds: float) -> Item:
    """Send one image a request from several clients at once."""
    bodies_of = inputs.bodies(1)
    form = UINT8 if UINT8 in bodies_of else FLOAT32
    call = partial(_send, port, bodies_of[form], time.perf_counter() + seconds)
    start = time.perf_counter()
    try:
        with ThreadPoolExecutor(_CLIENTS) as pool:
            durations = [duration for found in pool.map(call, range(_CLIENTS)) for duration in found]
    except ClasError as exc:
        return Item("FAILED", "speed", str(exc))
    rate = len(durations) / (time.perf_counter() - start)
    p50_ms = statistics.median(durations) * 1000
    clients = f"{_CLIENTS} clients, one image a request, {form}"
    return Item("ok", "speed", f"{rate:.0f} images/s, p50 {p50_ms:.1f} ms: {clients}")


def _reference(exported: ExportedModel, tensor: Batch) -> tuple[str, list[Prediction]]:
    """Classify with the first engine that runs the model on the CPU; returns its name, too."""
    failure: ClasError = DeviceError("no engine is installed")
    for engine_class in ENGINES:
        on_cpu = dataclasses.replace(
            exported.settings,
            inference_model_dir=str(exported.directory),
            engine=engine_class.name,
            use_gpu=False,
            use_tensorrt=False,
            precision="fp32",
        )
        try:
            files_for(engine_class, exported.programs)
            return run_in_process(_classify, on_cpu, tensor)
        except ClasError as exc:
            failure = exc
    raise failure


def _classify(settings: Settings, tensor: Batch) -> tuple[str, list[Prediction]]:
    classifier = Classifier(settings)
    described = classifier.describe()
    return f"{described['engine']} {described['engine_version']}", classifier.classify(tensor)


def _compared(form: str, agreement: Agreement, model: Mapping[str, Any]) -> Item:
    is_fp32 = model["precision"] == "fp32"
    if agreement.holds(model["precision"]):
        return Item("ok", form, str(agreement))
    if is_fp32 and model["device"] == "GPU" and agreement.same_best_share >= SAME_BEST:
        return Item(
            "warning", form, f"{agreement}: more than fp32 explains, as of a GPU that computes in TF32"
        )
    is_wrong = is_fp32 or agreement.same_best_share < _HALF
    return Item("FAILED" if is_wrong else "warning", form, str(agreement))


def _send(port: int, bodies: Sequence[bytes], until: float, client: int) -> list[float]:
    """Send requests, one after the other; returns the seconds that each took, at least one of them."""
    connection = Connection(port)
    durations: list[float] = []
    try:
        while not durations or time.perf_counter() < until:
            start = time.perf_counter()
            connection.predict(bodies[(client + len(durations)) % len(bodies)])
            durations.append(time.perf_counter() - start)
    finally:
        connection.close()
    return durations
