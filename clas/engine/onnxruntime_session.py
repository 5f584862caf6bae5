"""Opens a model with ONNX Runtime on the CPU, or on a GPU by CUDA or TensorRT."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import DeviceError
from ..settings import Settings
from .devices import visible_devices

if TYPE_CHECKING:
    import onnxruntime

_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_TENSORRT: Final = "TensorrtExecutionProvider"
_ERRORS_ONLY: Final = 3  # SessionOptions.log_severity_level
_MIB: Final = 2**20


def open_session(
    program: Path | bytes, settings: Settings, num_threads: int
) -> "onnxruntime.InferenceSession":
    """Open a model.

    Args:
        program: inference.onnx, or its content.
        settings: Read for use_gpu, gpu_mem (MB), use_tensorrt and precision.
        num_threads: CPU threads of one call.

    Raises:
        DeviceError: The installed ONNX Runtime doesn't have the GPU of the settings.
    """
    import onnxruntime  # noqa: PLC0415  # see module.py on late imports

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Idle threads would spin on the cores that others need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not settings.use_gpu:
        return onnxruntime.InferenceSession(program, options, providers=[_CPU])
    providers = _gpu_providers(settings)
    devices = ",".join(visible_devices())
    if hasattr(onnxruntime, "preload_dlls"):  # CUDA and cuDNN from pip's packages, 1.21 and later
        onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(program, options, providers=[*providers, _CPU])
    wanted = providers[0][0]
    if wanted not in session.get_providers():  # it falls back to the CPU with a line in its own log
        raise DeviceError(
            f"ONNX Runtime can't use {wanted} with CUDA_VISIBLE_DEVICES={devices}: nvidia-smi lists the "
            "GPUs; CUDA and cuDNN must be of the versions that onnxruntime-gpu needs"
        )
    return session


def _gpu_providers(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    import onnxruntime  # noqa: PLC0415

    cuda_options = {
        "device_id": 0,
        "gpu_mem_limit": settings.gpu_mem * _MIB,
        # By default each new batch size is tried with all algorithms: about a second for its first request.
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": 0,  # by default fp32 is computed with 10 bits: scores differ in the third decimal
    }
    cuda = (_CUDA, cuda_options)
    providers: list[tuple[str, dict[str, Any]]] = [cuda]
    if settings.use_tensorrt:
        is_half = settings.precision == "fp16"
        providers.insert(0, (_TENSORRT, {"device_id": 0, "trt_fp16_enable": is_half}))
    elif settings.precision == "fp16":
        raise DeviceError(
            "precision is fp16, which ONNX Runtime computes by TensorRT: set use_tensorrt to true"
        )
    missing = [name for name, _ in providers if name not in onnxruntime.get_available_providers()]
    if missing:
        raise DeviceError(
            f"this ONNX Runtime has no {', '.join(missing)}: install onnxruntime-gpu in place of "
            "onnxruntime, or set use_gpu to false"
        )
    return providers
