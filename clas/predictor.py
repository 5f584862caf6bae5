"""paddle.inference behind a small interface: build it, read `input_shape` and `num_classes`, `run` a batch.

A predictor of Paddle belongs to the process that made it. PaddleHub forks its workers after the module was
built, so `Predictor` notices by the process id that it is in another process, and opens the model anew there.
"""

import logging
import os
import re
import threading
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from .errors import DeviceError, ModelLoadError, PredictionError
from .model_files import ModelFiles
from .program import check_weights, read_input_shape
from .settings import Settings

if TYPE_CHECKING:
    import paddle.inference

Batch = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

_LOGGER: Final = logging.getLogger("clas_system")
_MKLDNN_CACHED_SHAPES: Final = 10  # each new input shape costs memory for good; Paddle's default is no bound
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


class Predictor:
    """One loaded and warmed-up model.

    Calls are serialised. In a forked process the first call loads the model again, with one thread: the
    workers share the cores, and the OpenMP runtime that Paddle brings, once it has run several threads,
    can wait for ever for them in a process forked later.

    Args:
        files: The model.
        settings: Device and options.

    Attributes:
        input_shape: What the model takes, [N, C, H, W] or the like; None where the model leaves it free.
        batch_size: The number of images that a batch must have; None where the model leaves it free.
        num_classes: Scores per image.
        mkldnn: Whether MKL-DNN is in use.
        num_threads: CPU threads of one prediction.

    Raises:
        DeviceError: The GPU that the settings ask for can't be used.
        ModelLoadError: The model is damaged, or isn't an image classifier.
    """

    def __init__(self, files: ModelFiles, settings: Settings) -> None:
        if settings.use_gpu:
            check_gpu()
        self.input_shape = read_input_shape(files)
        self.batch_size = self.input_shape[0]
        check_weights(files)
        self.mkldnn = settings.enable_mkldnn and not settings.use_gpu
        self.num_threads = settings.cpu_num_threads or _available_cores()
        self._files = files
        self._settings = settings
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._inherited: list[object] = []
        self._paddle = self._open()
        self.num_classes = self._warm_up()

    def run(self, batch: Batch) -> Scores:
        """Compute the scores of a batch.

        Args:
            batch: [N, ...] float32, C-contiguous, as `input_shape` has it.

        Returns:
            [N, num_classes] float32.

        Raises:
            DeviceError: In a forked worker, with use_gpu.
            ModelLoadError: In a forked worker, if the files are no longer what they were at the start.
            PredictionError: The model failed.
        """
        with self._lock:
            if self._pid != os.getpid():
                self._reopen_after_fork()
            try:
                scores = _run(self._paddle, batch)
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

        config = build_config(self._files, self._settings, mkldnn=self.mkldnn, num_threads=self.num_threads)
        try:
            return create_predictor(config)
        except _PADDLE_ERRORS as exc:
            raise ModelLoadError(f"{self._files.program.parent} can't be loaded: {_brief(exc)}") from exc

    def _warm_up(self) -> int:
        """Run once, so that the first request isn't slow; without MKL-DNN if the model can't be run with it.

        Returns:
            The number of scores per image.
        """
        side = self._settings.crop_size
        shape = [self.batch_size or 1, *(size or side for size in self.input_shape[1:])]
        batch = np.zeros(shape, np.float32)
        try:
            scores = _run(self._paddle, batch)
        except _PADDLE_ERRORS as exc:
            if not self.mkldnn:
                raise ModelLoadError(
                    f"{self._files.program} doesn't run on an input of {shape}: {_brief(exc)}"
                ) from exc
            _LOGGER.warning("the model doesn't run with MKL-DNN, going on without it: %s", _brief(exc))
            self.mkldnn = False
            self._paddle = self._open()
            return self._warm_up()
        if scores.ndim != 2 or len(scores) != shape[0]:  # noqa: PLR2004  # [N, classes]
            raise ModelLoadError(
                f"{self._files.program} is no image classifier: it answers {list(scores.shape)} "
                f"to an input of {shape}; [{shape[0]}, classes] was expected"
            )
        return scores.shape[1]

    def _reopen_after_fork(self) -> None:
        if self._settings.use_gpu:
            raise DeviceError(
                "use_gpu doesn't go with use_multiprocess: CUDA can't be used in a process forked after it "
                "was started; set use_multiprocess to false"
            )
        self._inherited.append(self._paddle)  # its threads didn't come along, so it must not be torn down
        if self._settings.cpu_num_threads > 1:
            _LOGGER.warning(
                "cpu_num_threads is %d, but a forked worker uses 1: raise workers instead",
                self._settings.cpu_num_threads,
            )
        self.num_threads = 1
        self._paddle = self._open()
        self._warm_up()
        self._pid = os.getpid()
        _LOGGER.info("model loaded in forked worker %d, threads: %d", self._pid, self.num_threads)


def build_config(
    files: ModelFiles, settings: Settings, *, mkldnn: bool, num_threads: int
) -> "paddle.inference.Config":
    """Describe to Paddle which model to run, and how.

    Args:
        files: The model.
        settings: Read for use_gpu, gpu_mem (MB) and ir_optim.
        mkldnn: Use MKL-DNN; heeded on the CPU only.
        num_threads: Threads of the CPU's math library.

    Raises:
        ModelLoadError: This Paddle doesn't know the format.
    """
    from paddle.inference import Config  # noqa: PLC0415

    config = Config(str(files.program), str(files.weights))
    config.disable_glog_info()
    if settings.use_gpu:
        config.enable_use_gpu(settings.gpu_mem, 0)  # device 0 of those in CUDA_VISIBLE_DEVICES
    else:
        config.disable_gpu()
        config.set_cpu_math_library_num_threads(num_threads)
    if mkldnn and not settings.use_gpu:
        config.enable_mkldnn()
        config.set_mkldnn_cache_capacity(_MKLDNN_CACHED_SHAPES)
    elif hasattr(config, "disable_mkldnn"):  # since Paddle 2.6, where it is on by default
        config.disable_mkldnn()
    if files.is_json:
        if not hasattr(config, "enable_new_ir"):
            raise ModelLoadError(f"{files.program} needs Paddle 3; export inference.pdmodel for this Paddle")
        config.enable_new_ir(True)
        config.enable_new_executor(True)
    config.switch_ir_optim(settings.ir_optim)
    config.enable_memory_optim()
    return config


def check_gpu() -> None:
    """Make sure that a GPU can be used here.

    Raises:
        DeviceError: CUDA_VISIBLE_DEVICES is missing or no list of device numbers, this Paddle is built
            without CUDA, or there is no device.
    """
    import paddle  # noqa: PLC0415

    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    if devices is None:
        raise DeviceError("use_gpu needs CUDA_VISIBLE_DEVICES: export CUDA_VISIBLE_DEVICES=0")
    if not re.fullmatch(r"\d+(,\d+)*", devices):
        raise DeviceError(
            f"use_gpu needs device numbers in CUDA_VISIBLE_DEVICES, such as 0 or 0,1; it is {devices!r}"
        )
    if not paddle.is_compiled_with_cuda():
        raise DeviceError(
            "use_gpu needs a Paddle with CUDA: install paddlepaddle-gpu in place of paddlepaddle "
            "(README, environment), or set use_gpu to false"
        )
    if paddle.device.cuda.device_count() == 0:
        raise DeviceError(
            f"use_gpu found no GPU with CUDA_VISIBLE_DEVICES={devices}: nvidia-smi lists what is there"
        )


def _run(predictor: "paddle.inference.Predictor", batch: Batch) -> Scores:
    predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(batch)
    predictor.run()
    scores: Scores = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
    return scores


def _available_cores() -> int:
    """Cores that this process may use, by affinity and cgroup."""
    import joblib  # noqa: PLC0415

    cores: int = joblib.cpu_count()
    return cores


def _brief(exc: BaseException) -> str:
    """The one line of Paddle's many that says what is wrong."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"\([A-Z]\w+\) ", line)]  # as in "(InvalidArgument) ..."
    return next(iter(named or lines), type(exc).__name__)
