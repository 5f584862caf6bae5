"""OpenVINO as an engine: reads inference.pdmodel and inference.onnx, without Paddle.

OpenVINO leaves Python's global lock free while a model runs, so it needs no process of its own. Images go
through it one by one: side by side, in a stream of one thread each, they take less time than as a batch.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from ..errors import DeviceError, ModelLoadError, PredictionError
from ..model.files import ModelFiles
from ..model.inspection import check_weights
from ..model.score_range import ScoreRange
from ..settings import CPU_BATCH_SIZE, Settings
from .base import Batch, EngineInfo, Scores
from .batches import check_scores, joined, padded, same_bytes, warm_up
from .devices import available_cores
from .fork_safety import never_destroy
from .openvino_model import DEVICE, check_bf16, import_openvino, read_model, signature_of
from .openvino_requests import InferRequests

if TYPE_CHECKING:
    import openvino

_PRECISIONS: Final = {"fp32": "f32", "bf16": "bf16"}  # OpenVINO's default is bf16 on a CPU that has it


class OpenVINOEngine:
    """A loaded and warmed-up model on the CPU; see `Engine`.

    The model is compiled twice: for images side by side, in streams of one thread each, and for one that is
    alone, with all threads. For about 40 MB of memory that one takes 4.6 ms in place of 8.7, or 2.8 in place
    of 5.2 in bf16 (2 cores of an EPYC, default model).

    Args:
        files: The model.
        settings: Device and options.
        concurrency: How many images may be under way at once; 0 for one per thread.

    Attributes:
        name: See `Engine`.
        formats: See `Engine`.
        install: See `Engine`.
        in_process: True: Python's global lock is free while a model runs.
        info: What the model takes and returns, and how it runs.

    Raises:
        DeviceError: The settings ask for a GPU, or for a precision that the CPU doesn't have.
        ModelLoadError: The model is damaged, isn't an image classifier, or isn't for OpenVINO.
    """

    name: ClassVar[str] = "openvino"
    formats: ClassVar[Sequence[str]] = ("pdmodel", "onnx")
    install: ClassVar[str] = "pip install openvino"
    in_process: ClassVar[bool] = True

    @staticmethod
    def prepare_process() -> None:
        """Nothing to set up."""

    def __init__(self, files: ModelFiles, settings: Settings, concurrency: int = 0) -> None:
        if settings.use_gpu:
            raise DeviceError("engine openvino is for the CPU: set use_gpu to false, or engine to paddle")
        check_weights(files)
        self._files = files
        self._settings = settings
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._open(settings.cpu_num_threads or available_cores())

    def ensure_open(self) -> None:
        """Reload the model if this process was forked since; with one thread: the workers share the cores.

        Raises:
            ModelLoadError: The model's files have changed.
        """
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid():
                never_destroy(self._side_by_side, self._alone)
                with same_bytes(self._files):
                    self._open(num_threads=1)

    def run(self, batch: Batch) -> Scores:
        """Compute the scores of a batch; see `Engine.run`. Safe to call from several threads."""
        self.ensure_open()
        step = self._step
        pieces = [padded(batch[start : start + step], step) for start in range(0, len(batch), step)]
        try:
            scores = self._compute(pieces)
        except RuntimeError as exc:
            raise PredictionError(f"the model failed on this batch: {_brief(exc)}") from exc
        check_scores(scores, step * len(pieces), self.info.num_outputs)
        return scores[: len(batch)]

    def _compute(self, pieces: Sequence[Batch]) -> Scores:
        """Run pieces of one size, side by side as far as requests are idle."""
        answers: list[Scores] = []
        while len(answers) < len(pieces):
            left = pieces[len(answers) :]
            with self._idle_requests(len(left)) as requests:
                answers += self._infer(requests, left)
        return np.concatenate(answers) if len(answers) > 1 else answers[0]

    @contextlib.contextmanager
    def _idle_requests(self, most: int) -> Iterator[Sequence["openvino.InferRequest"]]:
        """Lend the request with all threads to an image that is alone, else up to `most` of the others."""
        lender = self._side_by_side
        if most == 1 and self._alone and lender.is_idle and self._alone.is_idle:
            lender = self._alone
        requests = lender.take(most)
        try:
            yield requests
        finally:
            lender.give_back(requests)

    def _open(self, num_threads: int) -> None:
        openvino = import_openvino()
        core = openvino.Core()
        if self._settings.precision == "bf16":
            check_bf16(core)
        streams = min(self._concurrency or num_threads, num_threads)
        named = str(self._files.program)
        try:
            model = read_model(core, self._files)
            signature = signature_of(model, self._files, self._settings.wanted_outputs)
            self._signature = signature.with_image_size(self._files.image_size)
            named += self._signature.of_other_size
            self._step = self._signature.image.shape[0] or 1
            model.reshape([self._step, *(size or -1 for size in self._signature.image.shape[1:])])
            self._side_by_side = self._compile(core, model, streams, num_threads)
            self._alone = self._compile(core, model, 1, num_threads) if streams > 1 else None
            num_outputs, score_range = self._warm_up()
        except RuntimeError as exc:
            raise ModelLoadError(f"{named} can't be loaded by OpenVINO: {_brief(exc)}") from exc
        self._pid = os.getpid()
        self.info = EngineInfo(
            name=self.name,
            version=openvino.get_version().partition("-")[0],
            format=self._files.format,
            input_shape=self._signature.image.shape,
            num_outputs=num_outputs,
            batch_limit=self._settings.max_batch_size or max(CPU_BATCH_SIZE, streams),
            concurrency=streams,
            device=DEVICE,
            mkldnn=False,
            precision=self._settings.precision,
            num_threads=num_threads,
            input_name=self._signature.image.name,
            input_dtype=self._signature.image.dtype,
            output_name=", ".join(self._signature.output_names),
            ignored_outputs=tuple(map(str, self._signature.ignored)),
            scores=score_range,
            declared_shape=self._signature.declared_shape,
        )

    def _compile(
        self, core: "openvino.Core", model: "openvino.Model", streams: int, num_threads: int
    ) -> InferRequests:
        compiled = core.compile_model(
            model,
            DEVICE,
            {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[self._settings.precision],
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": num_threads,
                "ENABLE_CPU_PINNING": False,  # every worker would pin its threads to the same cores
            },
        )
        return InferRequests(compiled, streams)

    def _warm_up(self) -> tuple[int, ScoreRange]:
        """Run all requests once, so that the first ones of users aren't slow."""

        def run(batch: Batch) -> Scores:
            answers: list[Scores] = []
            for lender in filter(None, (self._alone, self._side_by_side)):
                requests = lender.take(lender.count)
                answers = self._infer(requests, [batch] * len(requests))
                lender.give_back(requests)
            return answers[0]

        return warm_up(run, self._signature, self._settings, self._files.program)

    def _infer(self, requests: Sequence["openvino.InferRequest"], batches: Sequence[Batch]) -> list[Scores]:
        """Run as many of the batches as there are requests, side by side; returns their scores."""
        import openvino  # noqa: PLC0415

        started: list[openvino.InferRequest] = []
        # Writable, as OpenVINO wants what it shares, and kept until the end: a request holds no reference.
        shared = [
            batch.astype(self._signature.image.dtype, copy=not batch.flags.writeable)
            for batch in batches[: len(requests)]
        ]
        try:
            for request, array in zip(requests, shared, strict=True):
                request.set_input_tensor(openvino.Tensor(array, shared_memory=True))
                request.start_async()
                started.append(request)
        finally:
            for request in started:
                request.wait()
        names = self._signature.output_names
        return [joined([request.get_tensor(name).data for name in names], copy=True) for request in started]


def _brief(exc: Exception) -> str:
    """The last of OpenVINO's lines that isn't a place in its source."""
    lines = [line.strip() for line in str(exc).splitlines()]
    named = [line for line in lines if line and not re.search(r"\.cpp:\d+|^FrontEnd API failed", line)]
    return named[-1] if named else type(exc).__name__
