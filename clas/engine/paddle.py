"""paddle.inference behind a small interface: build it, read `input_shape` and `num_classes`, `run` a batch.

A predictor of Paddle belongs to the process that made it. PaddleHub forks its workers after the module was
built, so `Predictor` notices by the process id that it is in another process, and opens the model anew there.
"""

import logging
import os
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from ..allocator import keep_freed_memory
from ..errors import DeviceError, ModelLoadError, PredictionError
from ..model.files import ModelFiles
from ..model.inspection import check_weights, read_input_shape
from ..settings import Settings
from .fork_safety import carry_over_forks
from .paddle_config import NO_FORKED_GPU, available_cores, build_config, check_bf16, check_gpu

if TYPE_CHECKING:
    import paddle.inference

Batch = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

_LOGGER: Final = logging.getLogger("clas_system")
# What pybind makes of Paddle's C++ errors: it maps each of their kinds to a built-in exception.
_PADDLE_ERRORS: Final = (
    RuntimeError,
    ValueError,
    IndexError,
    TypeError,
    MemoryError,
    OSError,
    SystemError,
)


class AnyPredictor(Protocol):
    """What a classifier needs of a predictor; see `Predictor`."""

    input_shape: tuple[int | None, ...]
    batch_size: int | None
    num_classes: int
    mkldnn: bool
    num_threads: int

    def ensure_open(self) -> None:
        """See `Predictor.ensure_open`."""

    def run(self, *parts: Batch) -> Scores:
        """See `Predictor.run`."""


class Predictor:
    """One loaded and warmed-up model.

    Calls are serialised. In a forked process the model is loaded again, with one thread: the workers share
    the cores, and Paddle's OpenMP runtime can't run several threads in a process forked after it did so.

    Args:
        files: The model.
        settings: Device and options.

    Attributes:
        input_shape: What the model takes, [N, C, H, W] or the like; None where the model leaves it free.
        batch_size: The number of images that a batch must have; None where the model leaves it free.
        num_classes: Scores per image.
        mkldnn: Whether MKL-DNN is in use.
        num_threads: CPU threads of one prediction.
        lock: Held during each prediction.
        paddle: Paddle's own predictor.

    Raises:
        DeviceError: The GPU, or the precision, that the settings ask for can't be used.
        ModelLoadError: The model is damaged, or isn't an image classifier.
    """

    def __init__(self, files: ModelFiles, settings: Settings) -> None:
        if settings.use_gpu:
            check_gpu()
        if settings.precision == "bf16":
            check_bf16()
        self.input_shape = read_input_shape(files)
        self.batch_size = self.input_shape[0]
        check_weights(files)
        self.mkldnn = settings.enable_mkldnn and not settings.use_gpu
        self.num_threads = settings.cpu_num_threads or available_cores()
        self._files = files
        self._settings = settings
        self._pid = os.getpid()
        self.lock = threading.Lock()
        self.paddle = self._open()
        self.num_classes = self._warm_up()
        carry_over_forks(self)

    def ensure_open(self) -> None:
        """Load the model again if this process was forked since; `run` does so, too, but takes its time then.

        Raises:
            DeviceError: The process was forked, and the settings ask for the GPU.
            ModelLoadError: The model's files are no longer what they were at the start.
        """
        with self.lock:
            self._ensure_open()

    def run(self, *parts: Batch) -> Scores:
        """Compute the scores of a batch.

        Args:
            parts: The batch, in one part or several, each [n, ...] float32, C-contiguous, as `input_shape`
                has it.

        Returns:
            [N, num_classes] float32, N the sum of all n.

        Raises:
            DeviceError: As `ensure_open`.
            ModelLoadError: As `ensure_open`.
            PredictionError: The model failed.
        """
        batch = joined(parts)
        with self.lock:
            self._ensure_open()
            try:
                scores = _run(self.paddle, batch)
            except _PADDLE_ERRORS as exc:
                raise PredictionError(f"the model failed on this batch: {_brief(exc)}") from exc
        if scores.shape != (len(batch), self.num_classes):
            raise PredictionError(
                f"the model answered {list(scores.shape)} to a batch of {len(batch)}; "
                f"[{len(batch)}, {self.num_classes}] was expected"
            )
        if not np.isfinite(scores).all():
            raise PredictionError("the model's scores for this batch hold NaN or infinity")
        return scores

    def _open(self) -> "paddle.inference.Predictor":
        from paddle.inference import create_predictor  # noqa: PLC0415  # see module.py on late imports

        if self._files.is_json:
            # Its executor asks for the memory between the layers anew at each run: 4,700 faults for four
            # images, and a third more time (benchmarks/README.md, the log).
            keep_freed_memory()
        try:
            return create_predictor(
                build_config(self._files, self._settings, mkldnn=self.mkldnn, num_threads=self.num_threads)
            )
        except _PADDLE_ERRORS as exc:
            raise ModelLoadError(f"{self._files.program.parent} can't be loaded: {_brief(exc)}") from exc

    def _warm_up(self) -> int:
        """Run once, so that the first request isn't slow; without MKL-DNN if the model can't be run with it.

        Returns:
            The number of scores per image.
        """
        width, height = self._settings.output_size
        sizes = zip(self.input_shape[1:], (3, height, width), strict=True)  # where the model leaves one free
        shape = [self.batch_size or 1, *(size or own for size, own in sizes)]
        batch = np.zeros(shape, np.float32)
        try:
            scores = _run(self.paddle, batch)
        except _PADDLE_ERRORS as exc:
            if not self.mkldnn:
                raise ModelLoadError(
                    f"{self._files.program} doesn't run on an input of {shape}: {_brief(exc)}"
                ) from exc
            _LOGGER.warning("the model doesn't run with MKL-DNN, going on without it: %s", _brief(exc))
            self.mkldnn = False
            self.paddle = self._open()
            return self._warm_up()
        if scores.ndim != 2 or len(scores) != shape[0]:  # noqa: PLR2004  # [N, classes]
            raise ModelLoadError(
                f"{self._files.program} is no image classifier: it answers {list(scores.shape)} "
                f"to an input of {shape}; [{shape[0]}, classes] was expected"
            )
        return scores.shape[1]

    def _ensure_open(self) -> None:
        if self._pid == os.getpid():
            return
        if self._settings.use_gpu:
            raise DeviceError(NO_FORKED_GPU)
        if self._settings.cpu_num_threads > 1:
            _LOGGER.warning(
                "cpu_num_threads is %d, but a forked worker uses 1: raise workers instead",
                self._settings.cpu_num_threads,
            )
        self.num_threads = 1
        self.paddle = self._open()
        if (read_input_shape(self._files), self._warm_up()) != (self.input_shape, self.num_classes):
            raise ModelLoadError(
                f"{self._files.program.parent} holds another model than at the start: restart"
            )
        self._pid = os.getpid()
        _LOGGER.info("model loaded in forked worker %d, threads: %d", self._pid, self.num_threads)


def joined(parts: Sequence[Batch]) -> Batch:
    """One batch [N, ...] of its parts; no copy if it is the only one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _run(predictor: "paddle.inference.Predictor", batch: Batch) -> Scores:
    predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(batch)
    predictor.run()
    scores: Scores = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
    return scores


def _brief(exc: BaseException) -> str:
    """The one line of Paddle's many that says what is wrong."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"\([A-Z]\w+\) ", line)]  # as in "(InvalidArgument) ..."
    return re.sub(r" \(at [^()]*:\d+\)$", "", next(iter(named or lines), type(exc).__name__))
