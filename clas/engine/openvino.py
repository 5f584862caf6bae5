"""OpenVINO as an engine: reads inference.pdmodel and inference.onnx, without Paddle.

OpenVINO leaves Python's global lock free while a model runs, so it needs no process of its own. Images go
through it one by one: side by side, in a stream of one thread each, they take less time than as a batch.
"""

import contextlib
import ctypes
import os
import queue
import re
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from ..errors import DeviceError, ModelLoadError, PredictionError
from ..model.files import ModelFiles
from ..model.inspection import check_weights
from ..settings import CPU_BATCH_SIZE, Settings
from .base import Batch, EngineInfo, Scores
from .devices import available_cores
from .padding import padded

if TYPE_CHECKING:
    import openvino

_DEVICE: Final = "CPU"
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
                _never_destroy(self._side_by_side, self._alone)
                self._open(num_threads=1)

    def run(self, batch: Batch) -> Scores:
        """Compute the scores of a batch; see `Engine.run`. Safe to call from several threads."""
        self.ensure_open()
        step = self._step
        starts = range(0, len(batch), step)
        pieces = [padded(batch[start : start + step], step) for start in starts]
        scores: list[Scores] = []
        try:
            while len(scores) < len(pieces):
                left = pieces[len(scores) :]
                with self._idle_requests(len(left)) as requests:
                    scores += _infer(requests, left)
        except RuntimeError as exc:
            raise PredictionError(f"the model failed on this batch: {_brief(exc)}") from exc
        joined = np.concatenate(scores)[: len(batch)] if len(scores) > 1 else scores[0][: len(batch)]
        if not np.isfinite(joined).all():
            raise PredictionError("the model's scores for this batch hold NaN or infinity")
        return joined

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
        import openvino  # noqa: PLC0415  # see module.py on late imports

        core = openvino.Core()
        if self._settings.precision == "bf16":
            _check_bf16(core)
        streams = min(self._concurrency or num_threads, num_threads)
        try:
            model = _read(core, self._files)
            input_shape = self._to_one_image(model)
            self._side_by_side = self._compile(core, model, streams, num_threads)
            self._alone = self._compile(core, model, 1, num_threads) if streams > 1 else None
            scores = self._warm_up(input_shape)
        except RuntimeError as exc:
            raise ModelLoadError(f"{self._files.program} can't be loaded by OpenVINO: {_brief(exc)}") from exc
        self._pid = os.getpid()
        self.info = EngineInfo(
            name=self.name,
            version=openvino.get_version().partition("-")[0],
            format=self._files.format,
            input_shape=input_shape,
            num_outputs=scores.shape[1],
            batch_limit=self._settings.max_batch_size or max(CPU_BATCH_SIZE, streams),
            concurrency=streams,
            device=_DEVICE,
            mkldnn=False,
            precision=self._settings.precision,
            num_threads=num_threads,
        )

    def _to_one_image(self, model: "openvino.Model") -> tuple[int | None, ...]:
        """Make the model's batch one image, unless it has another fixed size; returns [N, C, H, W]."""
        shape = model.input().partial_shape
        input_shape = tuple(size.get_length() if size.is_static else None for size in shape)
        self._step = input_shape[0] or 1
        model.reshape([self._step, *(-1 if size is None else size for size in input_shape[1:])])
        return input_shape

    def _compile(
        self, core: "openvino.Core", model: "openvino.Model", streams: int, num_threads: int
    ) -> "_Requests":
        compiled = core.compile_model(
            model,
            _DEVICE,
            {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[self._settings.precision],
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": num_threads,
                "ENABLE_CPU_PINNING": False,  # every worker would pin its threads to the same cores
            },
        )
        return _Requests(compiled, streams)

    def _warm_up(self, input_shape: Sequence[int | None]) -> Scores:
        """Run each compiled model once, so that the first request isn't slow; returns what it answers."""
        width, height = self._settings.output_size
        sizes = zip(input_shape[1:], (3, height, width), strict=True)
        batch = np.zeros((self._step, *(size or default for size, default in sizes)), np.float32)
        for lender in filter(None, (self._alone, self._side_by_side)):
            requests = lender.take(lender.count)
            scores = _infer(requests, [batch] * len(requests))[0]
            lender.give_back(requests)
        if scores.ndim != 2 or len(scores) != self._step:  # noqa: PLR2004  # [N, classes]
            raise ModelLoadError(
                f"{self._files.program} is not an image classifier: it answers {list(scores.shape)} "
                f"to an input of {list(batch.shape)}; [{self._step}, classes] was expected"
            )
        return scores


class _Requests:
    """A compiled model, and those of its infer requests that are idle.

    Args:
        compiled: The model.
        count: How many requests it has.
    """

    def __init__(self, compiled: "openvino.CompiledModel", count: int) -> None:
        self.count = count
        self._compiled = compiled
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        self.give_back([compiled.create_infer_request() for _ in range(count)])

    @property
    def is_idle(self) -> bool:
        """Whether all requests are idle."""
        return self._idle.qsize() == self.count

    def take(self, most: int) -> list["openvino.InferRequest"]:
        """Wait for one request, and take up to `most` of those that are idle."""
        taken = [self._idle.get()]
        with contextlib.suppress(queue.Empty):
            while len(taken) < most:
                taken.append(self._idle.get_nowait())
        return taken

    def give_back(self, requests: Sequence["openvino.InferRequest"]) -> None:
        """Return requests that were taken."""
        for request in requests:
            self._idle.put(request)


def _infer(requests: Sequence["openvino.InferRequest"], batches: Sequence[Batch]) -> list[Scores]:
    """Run as many of the batches as there are requests, side by side; returns their scores."""
    import openvino  # noqa: PLC0415

    started: list[openvino.InferRequest] = []
    try:
        for request, batch in zip(requests, batches, strict=False):
            shared = batch if batch.flags.writeable else batch.copy()  # OpenVINO shares writable arrays only
            request.set_input_tensor(openvino.Tensor(shared, shared_memory=True))
            request.start_async()
            started.append(request)
    finally:
        for request in started:
            request.wait()
    return [request.get_output_tensor().data.copy() for request in started]


def _read(core: "openvino.Core", files: ModelFiles) -> "openvino.Model":
    has_its_own = files.weights == files.program
    return core.read_model(files.program) if has_its_own else core.read_model(files.program, files.weights)


def _check_bf16(core: "openvino.Core") -> None:
    if "BF16" not in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES"):
        raise DeviceError(
            "precision is bf16, but this CPU has neither AVX512-BF16 nor AMX: set precision to fp32"
        )


def _never_destroy(*objects: object) -> None:
    """Keep objects of the parent process: destroying them would wait for threads that a fork doesn't copy."""
    for one in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def _brief(exc: Exception) -> str:
    """The last of OpenVINO's lines that isn't a place in its source."""
    lines = [line.strip() for line in str(exc).splitlines()]
    named = [line for line in lines if line and not re.search(r"\.cpp:\d+|^FrontEnd API failed", line)]
    return named[-1] if named else type(exc).__name__
