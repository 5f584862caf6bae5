"""Paddle Inference as an engine.

A Paddle predictor belongs to the process that created it. PaddleHub forks its workers after the module was
built, so `PaddleEngine` notices by the process id that it was forked, and loads the model anew there.
"""

import dataclasses
import logging
import os
import re
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar, Final

from ..allocator import keep_freed_memory
from ..errors import DeviceError, ModelLoadError, PredictionError
from ..model.files import ModelFiles
from ..model.fingerprint import take_fingerprint
from ..model.inspection import check_weights
from ..model.score_range import ScoreRange
from ..model.signature import read_signature
from ..settings import Settings
from .base import Batch, EngineInfo, Scores
from .batches import check_scores, joined, padded, same_bytes, warm_up, warm_up_shape
from .devices import NO_FORKED_GPU, available_cores
from .fork_safety import carry_over_forks, note_this_thread
from .loading import logged_while_loading
from .memory_files import decrypted_in_memory
from .paddle_config import build_config, check_bf16, check_gpu, import_paddle
from .paddle_modes import modes_of

if TYPE_CHECKING:
    import paddle.inference

_LOGGER: Final = logging.getLogger("clas_system")
# How long OpenMP's threads spin when idle. The default of 200 ms would burn the cores that the HTTP process
# needs between two batches. With 0 they sleep within a batch, too: 12.0 ms for one image in place of 8.3
# (2 threads, EfficientNet-Lite0, medians).
_SPIN_MS: Final = "1"
# pybind maps each kind of Paddle's C++ errors to a built-in exception.
_PADDLE_ERRORS: Final = (
    RuntimeError,
    ValueError,
    IndexError,
    TypeError,
    MemoryError,
    OSError,
    SystemError,
)


class PaddleEngine:
    """A loaded and warmed-up Paddle model; see `Engine`.

    Calls are serialised. A forked process uses one thread: the workers share the cores, and Paddle's OpenMP
    runtime can't run several threads in a process forked after it did so.

    Args:
        files: The model.
        settings: Device and options.
        _concurrency: Ignored: a predictor runs one batch after the other.

    Attributes:
        name: See `Engine`.
        formats: See `Engine`.
        install: See `Engine`.
        in_process: False: Paddle holds Python's global lock while a model runs.
        info: What the model takes and returns, and how it runs.
        lock: Held during each prediction.
        paddle: Paddle's own predictor.

    Raises:
        DeviceError: The GPU or the precision that the settings ask for isn't available.
        ModelLoadError: The model is damaged, or isn't an image classifier.
    """

    name: ClassVar[str] = "paddle"
    formats: ClassVar[Sequence[str]] = ("pdmodel", "json")
    install: ClassVar[str] = "pip install paddlepaddle==3.3.1"
    in_process: ClassVar[bool] = False

    @staticmethod
    def prepare_process() -> None:
        """Import Paddle without its signal handlers, and shorten the spinning of OpenMP's idle threads."""
        os.environ.setdefault("KMP_BLOCKTIME", _SPIN_MS)
        import_paddle()

    def __init__(self, files: ModelFiles, settings: Settings, _concurrency: int = 0) -> None:
        if settings.use_gpu:
            check_gpu()
        if settings.precision == "bf16":
            check_bf16(settings)
        self._signature = read_signature(files, settings.wanted_outputs).with_image_size(files.image_size)
        self._input_shape = self._signature.image.shape
        self._batch_size = self._input_shape[0]  # None: any
        check_weights(files)
        if not files.fingerprint:
            fingerprint = take_fingerprint((files.program, files.weights))
            files = dataclasses.replace(files, fingerprint=fingerprint)
        self._files = files
        self._settings = settings
        self._modes = modes_of(settings)  # the first one is in use; the others follow if it fails
        self._num_threads = settings.cpu_num_threads or available_cores()
        self._pid = os.getpid()
        self.lock = threading.Lock()
        self.info = self._start()
        carry_over_forks(self)

    def ensure_open(self) -> None:
        """Reload the model if this process was forked since; `run` does so, too, at the cost of a request.

        Raises:
            DeviceError: The process was forked, and the settings ask for the GPU.
            ModelLoadError: The model's files have changed.
        """
        with self.lock:
            self._ensure_open()

    def run(self, batch: Batch) -> Scores:
        """Compute the scores of a batch; a model of one batch size gets it filled up with zeros.

        Args:
            batch: As `Engine.run`.

        Returns:
            [N, num_outputs] float32.

        Raises:
            DeviceError: As `ensure_open`.
            ModelLoadError: As `ensure_open`.
            PredictionError: The model failed.
        """
        filled = padded(batch, self._batch_size)
        with self.lock:
            self._ensure_open()
            try:
                scores = self._compute(filled)
            except _PADDLE_ERRORS as exc:
                raise PredictionError(f"the model failed on this batch: {_brief(exc)}") from exc
        check_scores(scores, len(filled), self.info.num_outputs)
        return scores[: len(batch)]

    def _open(self) -> "paddle.inference.Predictor":
        from paddle.inference import create_predictor  # noqa: PLC0415  # see module.py on late imports

        if self._files.is_json:
            # Its executor allocates the memory between the layers anew at each run: 4,700 page faults for
            # four images, and a third more time (benchmarks/README.md, the log).
            keep_freed_memory()
        mkldnn, precision = self._modes[0]
        settings = dataclasses.replace(self._settings, precision=precision)
        is_read_as_files = self._files.is_json and self._files.key_file  # from memory it crashes
        with decrypted_in_memory(self._files) if is_read_as_files else nullcontext(self._files) as files:
            return create_predictor(
                build_config(files, settings, mkldnn=mkldnn, num_threads=self._num_threads)
            )

    def _start(self) -> EngineInfo:
        """Load the model in the first of the modes that it runs in, and warm it up.

        Raises:
            ModelLoadError: It can't be loaded, or runs in none of them.
        """
        while True:
            try:
                self.paddle = self._open()
            except _PADDLE_ERRORS as exc:
                if self._modes[0].precision != "bf16":
                    raise ModelLoadError(
                        f"{self._files.program.parent} can't be loaded: {_brief(exc)}"
                    ) from exc
                self._take_next_mode(exc)
                continue
            try:
                found = warm_up(self._compute, self._signature, self._settings, self._files.program)
            except _PADDLE_ERRORS as exc:
                self._take_next_mode(exc)
            else:
                return self._describe(*found)

    def _take_next_mode(self, exc: Exception) -> None:
        failed, *left = self._modes
        if not left:
            shape = warm_up_shape(self._signature, self._settings)
            named = f"{self._files.program}{self._signature.of_other_size}"
            raise ModelLoadError(f"{named} doesn't run on an input of {shape}: {_brief(exc)}") from exc
        _LOGGER.warning("the model doesn't run %s: %s", left[0].instead_of(failed), _brief(exc))
        self._modes = left

    def _compute(self, batch: Batch) -> Scores:
        """Run the predictor, on values of the type that the program takes."""
        note_this_thread()
        handle = self.paddle.get_input_handle(self._signature.image.name)
        handle.copy_from_cpu(batch.astype(self._signature.image.dtype, copy=False))
        self.paddle.run()
        return joined(
            [self.paddle.get_output_handle(name).copy_to_cpu() for name in self._signature.output_names]
        )

    def _describe(self, num_outputs: int, scores: ScoreRange) -> EngineInfo:
        from paddle import __version__  # noqa: PLC0415

        settings = self._settings
        return EngineInfo(
            name=self.name,
            version=__version__,
            format=self._files.format,
            input_shape=self._input_shape,
            num_outputs=num_outputs,
            batch_limit=self._batch_size or settings.batch_limit,
            concurrency=1,
            device="GPU" if settings.use_gpu else "CPU",
            mkldnn=self._modes[0].mkldnn,
            precision=self._modes[0].precision,
            num_threads=self._num_threads,
            input_name=self._signature.image.name,
            input_dtype=self._signature.image.dtype,
            output_name=", ".join(self._signature.output_names),
            ignored_outputs=tuple(map(str, self._signature.ignored)),
            scores=scores,
            declared_shape=self._signature.declared_shape,
        )

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
        self._num_threads = 1
        with same_bytes(self._files), logged_while_loading(self.name):
            self.info = self._start()
        self._pid = os.getpid()
        _LOGGER.info("model loaded in forked worker %d, threads: %d", self._pid, self._num_threads)


def _brief(exc: BaseException) -> str:
    """The one line among Paddle's many that says what is wrong."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"\([A-Z]\w+\) ", line)]  # as in "(InvalidArgument) ..."
    return re.sub(r" \(at [^()]*:\d+\)$", "", next(iter(named or lines), type(exc).__name__))
