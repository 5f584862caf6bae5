"""ONNX Runtime as an engine: reads inference.onnx, without Paddle.

ONNX Runtime leaves Python's global lock free while a model runs, so it needs no process of its own.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from ..errors import DeviceError, ModelLoadError, PredictionError
from ..model.files import ModelFiles
from ..model.program import Program, Tensor
from ..model.signature import choose_signature
from ..settings import Settings
from .base import Batch, EngineInfo, Scores
from .batches import check_scores, joined, padded, same_bytes, warm_up, warm_up_shape
from .devices import NO_FORKED_GPU, available_cores
from .fork_safety import never_destroy
from .onnx_input import with_input_shape
from .onnxruntime_session import open_session

if TYPE_CHECKING:
    import onnxruntime

_DTYPES: Final = {"float": "float32", "double": "float64"}
"""numpy's names of ONNX Runtime's types, where they differ."""


class OnnxRuntimeEngine:
    """A loaded and warmed-up model; see `Engine`.

    On a CPU the model is loaded twice: with all threads, for a batch that is alone, and with one thread, for
    several side by side. On a GPU, one batch runs after the other, filled up to one of three sizes, for each
    of which the model is loaded: a session plans all convolutions anew (0.1 to 0.7 s on an H200) when a batch
    has another size than the one before.

    Args:
        files: The model.
        settings: Device and options.
        concurrency: How many batches may be under way at once; 0 for one per thread. On a GPU there is one.

    Attributes:
        name: See `Engine`.
        formats: See `Engine`.
        install: See `Engine`.
        in_process: True: Python's global lock is free while a model runs.
        info: What the model takes and returns, and how it runs.

    Raises:
        DeviceError: The installed ONNX Runtime doesn't have the device or the precision of the settings.
        ModelLoadError: The model is damaged, isn't an image classifier, or isn't for ONNX Runtime.
    """

    name: ClassVar[str] = "onnxruntime"
    formats: ClassVar[Sequence[str]] = ("onnx",)
    install: ClassVar[str] = "pip install onnxruntime"
    in_process: ClassVar[bool] = True

    @staticmethod
    def prepare_process() -> None:
        """Nothing to set up."""

    def __init__(self, files: ModelFiles, settings: Settings, concurrency: int = 0) -> None:
        if settings.precision == "bf16":
            raise DeviceError("engine onnxruntime doesn't compute in bf16: set precision to fp32")
        self._files = files
        self._settings = settings
        self._concurrency = 1 if settings.use_gpu else concurrency
        self._lock = threading.Lock()
        self._of_size: dict[int, onnxruntime.InferenceSession] = {}
        self._open(settings.cpu_num_threads or available_cores())

    def ensure_open(self) -> None:
        """Reload the model if this process was forked since; with one thread: the workers share the cores.

        Raises:
            DeviceError: The process was forked, and the model is on a GPU.
            ModelLoadError: The model's files have changed.
        """
        if self._pid == os.getpid():
            return
        if self._settings.use_gpu:
            raise DeviceError(NO_FORKED_GPU)
        with self._lock:
            if self._pid != os.getpid():
                never_destroy(self._alone, self._side_by_side)
                with same_bytes(self._files):
                    self._open(num_threads=1)

    def run(self, batch: Batch) -> Scores:
        """Compute the scores of a batch; see `Engine.run`. Safe to call from several threads."""
        self.ensure_open()
        size = next((size for size in self._of_size if size >= len(batch)), self._signature.image.shape[0])
        filled = padded(batch, size)
        try:
            with self._turns, self._session(size) as session:
                scores = self._compute(session, filled)
        except _errors() as exc:
            raise PredictionError(f"the model failed on this batch: {_brief(exc)}") from exc
        check_scores(scores, len(filled), self.info.num_outputs)
        return scores[: len(batch)]

    @contextlib.contextmanager
    def _session(self, size: int | None) -> Iterator["onnxruntime.InferenceSession"]:
        """Lend the session for batches of a size; of a CPU the one with all threads if a batch is alone."""
        if size in self._of_size:
            yield self._of_size[size]
            return
        with self._counting:
            is_alone = self._under_way == 0
            self._under_way += 1
        try:
            yield self._alone if is_alone else self._side_by_side
        finally:
            with self._counting:
                self._under_way -= 1

    def _compute(self, session: "onnxruntime.InferenceSession", batch: Batch) -> Scores:
        image, names = self._signature.image, self._signature.output_names
        return joined(session.run(names, {image.name: batch.astype(image.dtype, copy=False)}))

    def _open(self, num_threads: int) -> None:
        import onnxruntime  # noqa: PLC0415  # see module.py on late imports

        settings, program = self._settings, self._files.program
        concurrency = min(self._concurrency or num_threads, num_threads)
        share = num_threads // concurrency
        self._under_way = 0
        # Both are made anew after a fork, during which another thread may hold them.
        self._counting = threading.Lock()
        self._turns = threading.Semaphore(concurrency)
        named = str(program)
        model = self._files.read(program) if self._files.key_file else program
        try:
            self._alone = open_session(model, settings, num_threads)
            signature = choose_signature(_program_of(self._alone), program, settings.wanted_outputs)
            self._signature = signature.with_image_size(self._files.image_size)
            if self._signature.declared_shape:
                named += self._signature.of_other_size
                model = with_input_shape(model, self._signature.image)
                self._alone = open_session(model, settings, num_threads)
            self._side_by_side = open_session(model, settings, share) if concurrency > 1 else self._alone
            for session in {self._alone, self._side_by_side}:
                compute = partial(self._compute, session)
                num_outputs, score_range = warm_up(compute, self._signature, settings, program)
            if settings.use_gpu:
                count, *of_image = warm_up_shape(self._signature, settings)
                self._of_size = {count: self._alone}
                for size in () if self._signature.image.shape[0] else _larger_sizes(settings.batch_limit):
                    self._of_size[size] = open_session(model, settings, num_threads)
                    self._compute(self._of_size[size], np.zeros((size, *of_image), np.float32))
        except _errors() as exc:
            raise ModelLoadError(f"{named} can't be loaded by ONNX Runtime: {_brief(exc)}") from exc
        self._pid = os.getpid()
        self.info = EngineInfo(
            name=self.name,
            version=onnxruntime.__version__,
            format=self._files.format,
            input_shape=self._signature.image.shape,
            num_outputs=num_outputs,
            batch_limit=self._signature.image.shape[0] or settings.batch_limit,
            concurrency=concurrency,
            device="GPU" if settings.use_gpu else "CPU",
            mkldnn=False,
            precision=settings.precision,
            num_threads=num_threads,
            input_name=self._signature.image.name,
            input_dtype=self._signature.image.dtype,
            output_name=", ".join(self._signature.output_names),
            ignored_outputs=tuple(map(str, self._signature.ignored)),
            scores=score_range,
            declared_shape=self._signature.declared_shape,
        )


def _larger_sizes(limit: int) -> Sequence[int]:
    """Return the sizes above 1 that batches of up to so many images are filled up to."""
    return sorted({limit // 4, limit} - {0, 1})


def _program_of(session: "onnxruntime.InferenceSession") -> Program:
    """Return what the model takes and returns; ONNX Runtime doesn't tell which operators compute it."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return Program(tuple(map(_tensor, inputs)), tuple(map(_tensor, outputs)))


def _tensor(node: Any) -> Tensor:  # noqa: ANN401  # a NodeArg, which has no types
    sizes = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    inner = node.type.removeprefix("tensor(").removesuffix(")")
    return Tensor(node.name, sizes, _DTYPES.get(inner, inner))


def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises, and pybind beside it."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile")
    others = (
        "EPFail",
        "EngineError",
        "ModelRequiresCompilation",
        "NotFound",
        "NotImplemented",
        "RuntimeException",
    )
    found = [getattr(state, name) for name in (*names, *others) if hasattr(state, name)]
    return (*found, RuntimeError, ValueError)


def _brief(exc: Exception) -> str:
    """The first line, without ONNX Runtime's own numbers."""
    first = next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", first)
