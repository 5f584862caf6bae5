"""Opens a model with an engine, and sees what it answers, how fast, and in how much memory."""

import dataclasses
import re
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ...engine.base import Batch, Engine, EngineClass, EngineInfo
from ...engine.choice import choose
from ...engine.onnxruntime import OnnxRuntimeEngine
from ...engine.openvino import OpenVINOEngine
from ...engine.paddle import PaddleEngine
from ...errors import DeviceError, RequestError
from ...model.exported import read_exported_model
from ...model.files import ModelFiles
from ...pipeline import Pipeline
from ...settings import Settings
from .agreement import Scores
from .images import TrialImages

ENGINES: Final[Sequence[EngineClass]] = (PaddleEngine, OpenVINOEngine, OnnxRuntimeEngine)
"""All engines; the one that others are compared with comes first."""

_STATUS: Final = Path("/proc/self/status")
_UNCOUNTED: Final = 3  # runs before the clock starts
_CYCLE: Final = 8  # images that the timed runs take in turn


class Answers(NamedTuple):
    """What an engine answers.

    Attributes:
        info: How it runs.
        scores: [images, num_outputs], as results are made of them.
        failures: A line for each image that can't be decoded, and has no scores.
    """

    info: EngineInfo
    scores: Scores
    failures: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """How fast an engine answers.

    Attributes:
        answers: What it answers.
        images_per_s: One image after the other.
        p50_ms: Median time of one of these.
        images_per_s_under_load: With as many calls at once as the engine takes, or, if that is one, with as
            many images in it as it takes.
        memory_bytes: The most memory that its process had in use so far; None if the system doesn't say.
    """

    answers: Answers
    images_per_s: float
    p50_ms: float
    images_per_s_under_load: float
    memory_bytes: int | None


def answers_of(settings: Settings, images: TrialImages) -> Answers:
    """Open a model with the engine of the settings, and have it answer.

    Raises:
        StartupError: The engine can't run it.
        RequestError: It doesn't take images of this shape, or no image can be decoded.
        PredictionError: It fails on them.
    """
    return _answer(*_open(settings), images)


def measure(settings: Settings, images: TrialImages, seconds: float) -> Measurement:
    """Do the same, and measure how fast it is.

    Args:
        settings: Engine, device, threads and precision.
        images: To be answered; the clock runs without decoding and preprocessing them.
        seconds: How long to measure; half of it alone, half of it under load.

    Raises:
        DeviceError: It computes in another precision, since the model doesn't run in that of the settings.
        ClasError: As `answers_of`.
    """
    engine, pipeline = _open(settings)
    if engine.info.precision != settings.precision:
        raise DeviceError(f"the model doesn't run in {settings.precision} with {engine.info.name}")
    few = images.first(_CYCLE)
    batches = list(few.batches(pipeline, engine.info, []))
    if not batches:
        raise RequestError(_NO_IMAGES)
    inputs = np.concatenate(batches)
    singles = [inputs[number : number + 1] for number in range(len(inputs))]
    durations = _run_alone(engine, singles, seconds / 2)
    under_load = _run_under_load(engine, singles, seconds / 2)
    memory_bytes = peak_memory()  # before the other images
    return Measurement(
        answers=_answer(engine, pipeline, images),
        images_per_s=len(durations) / sum(durations),
        p50_ms=statistics.median(durations) * 1000,
        images_per_s_under_load=under_load,
        memory_bytes=memory_bytes,
    )


def peak_memory() -> int | None:
    """Return the most bytes of memory that this process had in use (VmHWM); None except on Linux."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


_NO_IMAGES: Final = "none of the images can be decoded"


def _open(settings: Settings) -> tuple[Engine, Pipeline]:
    model = read_exported_model(settings)

    def open_engine(engine_class: EngineClass, files: ModelFiles) -> Engine:
        engine_class.prepare_process()
        return engine_class(files, model.settings)

    choice = choose(model.settings, model.programs, open_engine)
    return choice.opened, Pipeline(model, choice.opened.info, choice.passed_over)


def _answer(engine: Engine, pipeline: Pipeline, images: TrialImages) -> Answers:
    failures: list[str] = []
    scores = [engine.run(batch) for batch in images.batches(pipeline, engine.info, failures)]
    if not scores:
        raise RequestError(f"{_NO_IMAGES}: {failures[0]}" if failures else _NO_IMAGES)
    return Answers(engine.info, pipeline.output.probabilities(np.concatenate(scores)), failures)


def _run_alone(engine: Engine, singles: Sequence[Batch], seconds: float) -> list[float]:
    """Run one image after the other; returns the seconds that each took, at least one of them."""
    for number in range(_UNCOUNTED):
        engine.run(singles[number % len(singles)])
    durations: list[float] = []
    until = time.perf_counter() + seconds
    while not durations or time.perf_counter() < until:
        start = time.perf_counter()
        engine.run(singles[len(durations) % len(singles)])
        durations.append(time.perf_counter() - start)
    return durations


def _run_under_load(engine: Engine, singles: Sequence[Batch], seconds: float) -> float:
    """Run as a busy server does; returns images per second."""
    callers, inputs = engine.info.concurrency, list(singles)
    if callers == 1:
        size = engine.info.batch_limit
        inputs = [np.concatenate([singles[number % len(singles)] for number in range(size)])]

    def call(caller: int) -> int:
        done = 0
        while not done or time.perf_counter() < until:
            batch = inputs[(caller + done) % len(inputs)]
            engine.run(batch)
            done += 1
        return done

    with ThreadPoolExecutor(callers) as pool:
        until = start = time.perf_counter()
        list(pool.map(call, range(callers)))  # uncounted
        start = time.perf_counter()
        until = start + seconds
        done = sum(pool.map(call, range(callers)))
        return done * len(inputs[0]) / (time.perf_counter() - start)
