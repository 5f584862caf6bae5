"""Where and how Paddle runs a model: its configuration, the GPU, the cores."""

import os
import re
import warnings
from typing import TYPE_CHECKING, Final

from ..errors import DeviceError, ModelLoadError
from ..model.files import ModelFiles
from ..settings import Settings

if TYPE_CHECKING:
    import paddle.inference

NO_FORKED_GPU: Final = (
    "use_gpu doesn't go with use_multiprocess: CUDA can't be used in a process forked after it was started; "
    "set use_multiprocess to false"
)
"""What is said wherever the two are asked for together."""

_MKLDNN_CACHED_SHAPES: Final = 10  # each new input shape costs memory for good; Paddle's default is no bound


def build_config(
    files: ModelFiles, settings: Settings, *, mkldnn: bool, num_threads: int
) -> "paddle.inference.Config":
    """Describe to Paddle which model to run, and how.

    Args:
        files: The model.
        settings: Read for use_gpu, gpu_mem (MB), precision and ir_optim.
        mkldnn: Use MKL-DNN; heeded on the CPU only. Without it, the precision is fp32.
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
        if settings.precision == "bf16":
            config.enable_mkldnn_bfloat16()
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


def import_paddle() -> None:
    """Import Paddle now rather than with the first model, and take its signal handlers away.

    They would end the process at once on SIGTERM. Handlers that were set up before are gone, too, after this.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about compilers, that nobody needs here
        import paddle  # noqa: PLC0415

    paddle.disable_signal_handler()


def check_gpu() -> None:
    """Make sure that a GPU can be used here.

    Raises:
        DeviceError: CUDA_VISIBLE_DEVICES is missing or no list of device numbers, this Paddle is built
            without CUDA, or there is no device.
    """
    import paddle  # noqa: PLC0415

    devices = ",".join(visible_devices())
    if not paddle.is_compiled_with_cuda():
        raise DeviceError(
            "use_gpu needs a Paddle with CUDA: install paddlepaddle-gpu in place of paddlepaddle "
            "(README, environment), or set use_gpu to false"
        )
    if paddle.device.cuda.device_count() == 0:
        raise DeviceError(
            f"use_gpu found no GPU with CUDA_VISIBLE_DEVICES={devices}: nvidia-smi lists what is there"
        )


def check_bf16() -> None:
    """Make sure that this CPU computes in bfloat16: others would only imitate it, slowly.

    Raises:
        DeviceError: It doesn't.
    """
    from paddle.base import core  # noqa: PLC0415

    if not core.supports_bfloat16_fast_performance():
        raise DeviceError(
            "precision is bf16, but this CPU has neither AVX512-BF16 nor AMX: set precision to fp32"
        )


def visible_devices(devices: str | None = None) -> list[str]:
    """The numbers of the GPUs that are named for this process.

    Args:
        devices: Numbers with commas in between; None reads CUDA_VISIBLE_DEVICES.

    Raises:
        DeviceError: CUDA_VISIBLE_DEVICES is missing, or it is no list of device numbers.
    """
    name = "CUDA_VISIBLE_DEVICES" if devices is None else "gpu"
    if devices is None:
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    if devices is None:
        raise DeviceError(
            "use_gpu needs CUDA_VISIBLE_DEVICES: export CUDA_VISIBLE_DEVICES=0, "
            "or set use_gpu to false on a machine without a GPU"
        )
    if not re.fullmatch(r"\d+(,\d+)*", devices):
        raise DeviceError(f"use_gpu needs device numbers in {name}, such as 0 or 0,1; it is {devices!r}")
    return devices.split(",")


def available_cores() -> int:
    """Cores that this process may use, by affinity and cgroup."""
    import joblib  # noqa: PLC0415

    cores: int = joblib.cpu_count()
    return cores
