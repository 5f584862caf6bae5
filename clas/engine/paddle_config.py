"""Configures Paddle's predictor, and checks what it needs of the device."""

import warnings
from typing import TYPE_CHECKING, Final

from ..errors import DeviceError, ModelLoadError
from ..model.files import ModelFiles
from ..settings import Settings
from .devices import WITHOUT_GPU, visible_devices

if TYPE_CHECKING:
    import paddle.inference

_TENSORRT_BYTES: Final = 2**30  # workspace, as in the original service
_TENSORRT_OPERATORS: Final = 30  # fewer in a row are left to Paddle, as in the original service
_MKLDNN_CACHED_SHAPES: Final = 10  # each input shape takes memory permanently; unlimited by default


def build_config(
    files: ModelFiles, settings: Settings, *, mkldnn: bool, num_threads: int
) -> "paddle.inference.Config":
    """Build the configuration of a predictor.

    Args:
        files: The model; an encrypted one is read from memory, which Paddle can't do with inference.json.
        settings: Read for use_gpu, gpu_mem (MB), use_tensorrt, precision and ir_optim.
        mkldnn: Use MKL-DNN; ignored on the GPU. Without it, the precision is fp32.
        num_threads: Threads of the CPU math library; ignored on the GPU.

    Raises:
        ModelLoadError: The installed Paddle doesn't support the format of the model.
    """
    from paddle.inference import Config  # noqa: PLC0415

    config = Config() if files.key_file else Config(str(files.program), str(files.weights))
    if files.key_file:
        program, weights = files.read(files.program), files.read(files.weights)
        config.set_model_buffer(program, len(program), weights, len(weights))
    config.disable_glog_info()
    if settings.use_gpu:
        _use_gpu(config, settings)
    else:
        config.disable_gpu()
        config.set_cpu_math_library_num_threads(num_threads)
    if mkldnn and not settings.use_gpu:
        config.enable_mkldnn()
        config.set_mkldnn_cache_capacity(_MKLDNN_CACHED_SHAPES)
        if settings.precision == "bf16":
            config.enable_mkldnn_bfloat16()
    elif hasattr(config, "disable_mkldnn"):  # Paddle 2.6 and later, where it is on by default
        config.disable_mkldnn()
    if files.is_json:
        if not hasattr(config, "enable_new_ir"):
            raise ModelLoadError(f"{files.program} needs Paddle 3; export inference.pdmodel for this Paddle")
        config.enable_new_ir(True)
        config.enable_new_executor(True)
    config.switch_ir_optim(settings.ir_optim)
    config.enable_memory_optim()
    return config


def _use_gpu(config: "paddle.inference.Config", settings: Settings) -> None:
    from paddle.inference import PrecisionType  # noqa: PLC0415

    precision = PrecisionType.Half if settings.precision == "fp16" else PrecisionType.Float32
    config.enable_use_gpu(settings.gpu_mem, 0, precision)  # device 0 of those in CUDA_VISIBLE_DEVICES
    if settings.use_tensorrt:
        config.enable_tensorrt_engine(
            workspace_size=_TENSORRT_BYTES,
            max_batch_size=settings.batch_limit,
            min_subgraph_size=_TENSORRT_OPERATORS,
            precision_mode=precision,
            use_static=False,
            use_calib_mode=False,
        )


def import_paddle() -> None:
    """Import Paddle ahead of the first model, and remove its signal handlers.

    They would end the process immediately on SIGTERM. This also removes handlers installed earlier.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing compilers, which aren't needed
        import paddle  # noqa: PLC0415

    paddle.disable_signal_handler()


def check_gpu() -> None:
    """Check that a GPU is available.

    Raises:
        DeviceError: CUDA_VISIBLE_DEVICES is missing or not a list of device numbers, the installed Paddle is
            built without CUDA, or there is no such device.
    """
    import paddle  # noqa: PLC0415

    devices = ",".join(visible_devices())
    if not paddle.is_compiled_with_cuda():
        raise DeviceError(
            "use_gpu needs a Paddle with CUDA: install paddlepaddle-gpu in place of paddlepaddle "
            f"(docs/en/install.md); {WITHOUT_GPU}"
        )
    if paddle.device.cuda.device_count() == 0:
        raise DeviceError(
            f"use_gpu found no GPU with CUDA_VISIBLE_DEVICES={devices}: nvidia-smi lists what is there; "
            f"{WITHOUT_GPU}"
        )


def check_bf16(settings: Settings) -> None:
    """Check that Paddle can compute in bfloat16: with MKL-DNN, on a CPU that does; others emulate it.

    Args:
        settings: Read for enable_mkldnn.

    Raises:
        DeviceError: It can't.
    """
    if not settings.enable_mkldnn:
        raise DeviceError(
            "precision is bf16, which Paddle computes with MKL-DNN: "
            "set enable_mkldnn to true, or precision to fp32"
        )
    from paddle.base import core  # noqa: PLC0415

    if not core.supports_bfloat16_fast_performance():
        raise DeviceError(
            "precision is bf16, but this CPU has neither AVX512-BF16 nor AMX: set precision to fp32"
        )
