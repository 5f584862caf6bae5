"""Checks what a machine has: cores, memory, GPUs, and the engines that are installed."""

import importlib.metadata
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ...engine.devices import available_cores, available_memory, visible_devices
from ...errors import DeviceError
from ...settings import Settings
from ..trial.runs import ENGINES
from .item import Item

_GIB: Final = 2**30
_NVIDIA_S: Final = 30.0
_DISTRIBUTIONS: Final[Mapping[str, Sequence[str]]] = {
    "paddle": ("paddlepaddle", "paddlepaddle-gpu"),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
}
"""Engine -> the names that pip knows it by; only one of them may be installed."""


def check_devices(settings: Settings) -> Iterator[Item]:
    """Check cores, memory and, if the settings ask for one, the GPU."""
    cores, memory = available_cores(), available_memory() / _GIB
    yield Item("ok", "machine", f"cores: {cores}, memory: {memory:.1f} GiB")
    gpus = ", ".join(_gpus())
    if not settings.use_gpu:
        yield Item("ok", "GPU", f"not used; there is: {gpus}" if gpus else "not used")
        return
    try:
        devices = ",".join(visible_devices())
    except DeviceError as exc:
        yield Item("FAILED", "GPU", str(exc))
        return
    found = gpus or "nvidia-smi lists none"
    yield Item("ok" if gpus else "warning", "GPU", f"CUDA_VISIBLE_DEVICES: {devices}; {found}")


def check_engines() -> Iterator[Item]:
    """Check which engines are installed."""
    found = {name: _installed(names) for name, names in _DISTRIBUTIONS.items() if is_installed(name)}
    if not found:
        commands = ", or ".join(engine.install for engine in ENGINES)
        yield Item("FAILED", "engines", f"none is installed: {commands}")
        return
    yield Item("ok", "engines", ", ".join(f"{name} ({' and '.join(how)})" for name, how in found.items()))
    for name, how in found.items():
        if len(how) > 1:
            text = f"{' and '.join(how)} share a folder: remove both, and install the one that is wanted"
            yield Item("warning", name, text)


def is_installed(engine: str) -> bool:
    """Whether the library of an engine is installed."""
    return importlib.util.find_spec(engine) is not None


def _installed(distributions: Sequence[str]) -> list[str]:
    """Those that are installed, with their versions."""
    found = []
    for name in distributions:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found or ["of an unknown version"]


def _gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA GPU; none without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=name,memory.total,driver_version"
    try:
        done = subprocess.run(  # noqa: S603  # the driver's own program
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_NVIDIA_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [" ".join(line.replace(",", "").split()) for line in done.stdout.splitlines() if line.strip()]
