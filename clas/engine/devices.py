"""The CPU cores and GPUs that this process may use."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import DeviceError

NO_FORKED_GPU: Final = (
    "use_gpu doesn't go with use_multiprocess: CUDA can't be used in a process forked after it was started; "
    "set use_multiprocess to false"
)
"""The message wherever both are requested."""

WITH_CUDA: Final = "a Paddle or an ONNX Runtime with CUDA (docs/en/install.md)"
WITHOUT_GPU: Final = (
    "on a machine without a GPU, start with -c deploy/cpu.json, leave out --use_gpu, or set use_gpu to false"
)
"""What to do where the GPU was asked for by the shipped config.json, or by mistake."""

_OWN_CGROUP: Final = Path("/proc/self/cgroup")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_UNKNOWN: Final = 2**63  # on Windows


def visible_devices(devices: str | None = None) -> list[str]:
    """List the GPU numbers that this process was given.

    Args:
        devices: Comma-separated numbers; None reads CUDA_VISIBLE_DEVICES.

    Raises:
        DeviceError: CUDA_VISIBLE_DEVICES is missing, or the list is malformed.
    """
    name = "CUDA_VISIBLE_DEVICES" if devices is None else "gpu"
    if devices is None:
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    if devices is None:
        raise DeviceError(
            f"use_gpu needs CUDA_VISIBLE_DEVICES (export CUDA_VISIBLE_DEVICES=0) and {WITH_CUDA}; "
            f"{WITHOUT_GPU}"
        )
    if not re.fullmatch(r"\d+(,\d+)*", devices):
        raise DeviceError(f"use_gpu needs device numbers in {name}, such as 0 or 0,1; it is {devices!r}")
    return devices.split(",")


def available_cores() -> int:
    """Count the cores that this process may use, by affinity and cgroup."""
    import joblib  # noqa: PLC0415  # see module.py on late imports

    cores: int = joblib.cpu_count()
    return cores


def available_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or the limit of its cgroup."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else _UNKNOWN
    for file in _memory_limits():
        with contextlib.suppress(OSError, ValueError):  # there is no such file, or no limit ("max")
            memory = min(memory, int(file.read_text()))
    return memory


def _memory_limits() -> Iterator[Path]:
    """Yield the memory limit files (cgroup v1 and v2) of this process's cgroup and its ancestors."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _CGROUPS / "memory" if controllers else _CGROUPS
        own = root / path.lstrip("/")  # a container may see its own cgroup as the root
        for folder in (own, *own.parents):
            yield folder / ("memory.limit_in_bytes" if controllers else "memory.max")
            if folder == root:
                break
