"""ONNX Runtime as an engine: reads inference.onnx, without Paddle.

ONNX Runtime leaves Python's global lock free while a model runs, so it needs no process of its own.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from ..errors import DeviceError, ModelLoadError, PredictionError
from ..model.files import ModelFiles
from ..settings import Settings
from .base import Batch, EngineInfo, Scores
from .devices import NO_FORKED_GPU, available_cores, visible_devices
from .fork_safety import never_destroy
from .padding import padded

if TYPE_CHECKING:
    import onnxruntime

_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_TENSORRT: Final = "TensorrtExecutionProvider"
_ERRORS_ONLY: Final = 3  # SessionOptions.log_severity_level
_MIB: Final = 2**20


class OnnxRuntimeEngine:
    """A loaded and warmed-up model; see `Engine`.

    On a CPU the model is loaded twice: with all threads, for a batch that is alone, and with one thread, for
    several side by side. On a GPU, one batch runs after the other.

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
                self._open(num_threads=1)

    def run(self, batch: Batch) -> Scores:
        """Compute the scores of a batch; see `Engine.run`. Safe to call from several threads."""
        self.ensure_open()
        try:
            with self._session() as session:
                scores = _run(session, padded(batch, self._batch_size))[: len(batch)]
        except _errors() as exc:
            raise PredictionError(f"the model failed on this batch: {_brief(exc)}") from exc
        if scores.shape != (len(batch), self.info.num_outputs):
            raise PredictionError(
                f"the model answered {list(scores.shape)} to a batch of {len(batch)}; "
                f"[{len(batch)}, {self.info.num_outputs}] was expected"
            )
        if not np.isfinite(scores).all():
            raise PredictionError("the model's scores for this batch hold NaN or infinity")
        return scores

    @contextlib.contextmanager
    def _session(self) -> Iterator["onnxruntime.InferenceSession"]:
        """Lend the session with all threads to a batch that is alone, else the other one."""
        with self._lock:
            is_alone = self._under_way == 0
            self._under_way += 1
        try:
            yield self._alone if is_alone else self._side_by_side
        finally:
            with self._lock:
                self._under_way -= 1

    def _open(self, num_threads: int) -> None:
        import onnxruntime  # noqa: PLC0415  # see module.py on late imports

        settings = self._settings
        concurrency = min(self._concurrency or num_threads, num_threads)
        self._under_way = 0
        try:
            self._alone = self._load(num_threads)
            self._side_by_side = self._load(max(1, num_threads // concurrency)) if concurrency > 1 else self._alone
            scores = self._warm_up()
        except _errors() as exc:
            raise ModelLoadError(
                f"{self._files.program} can't be loaded by ONNX Runtime: {_brief(exc)}"
            ) from exc
        self._pid = os.getpid()
        self.info = EngineInfo(
            name=self.name,
            version=onnxruntime.__version__,
            format=self._files.format,
            input_shape=self._input_shape,
            num_outputs=scores.shape[1],
            batch_limit=self._batch_size or settings.batch_limit,
            concurrency=concurrency,
            device="GPU" if settings.use_gpu else "CPU",
            mkldnn=False,
            precision=settings.precision,
            num_threads=num_threads,
        )
