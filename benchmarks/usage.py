"""CPU time and memory of a server: of all processes that were started with one mark in their environment."""

import contextlib
import dataclasses
import threading
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from typing_extensions import Self

MARK: Final = "CLAS_BENCHMARK_RUN"
"""Environment variable by which the processes of a run are recognised, whatever session they are in."""

_MODEL_PROCESS: Final = "multiprocessing.spawn"  # in the command of the process that has the model
_PERIOD_S: Final = 0.5
_MIB: Final = 2**20


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a server took during a load.

    Attributes:
        cpu_s: CPU time of all its processes.
        model_cpu_s: That of the processes which the standalone server has for the model; of others 0.
        memory_mib: The largest sum of their memory, shared pages counted once (PSS).
    """

    cpu_s: float
    model_cpu_s: float
    memory_mib: float


def processes(mark: str) -> list[psutil.Process]:
    """The processes that were started with this value of MARK."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
    return found


class Meter:
    """Measures a server for the time of a block; then `usage` is there.

    Args:
        mark: Of the server's processes, all of which have been started.
    """

    usage: Usage

    def __init__(self, mark: str) -> None:
        self._processes = processes(mark)
        self._is_over = threading.Event()
        self._memory = 0.0
        self._thread = threading.Thread(target=self._watch_memory, daemon=True)

    def __enter__(self) -> "Self":
        self._before = self._cpu_s()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        total, model = (after - before for after, before in zip(self._cpu_s(), self._before, strict=True))
        self.usage = Usage(total, model, self._memory)

    def _cpu_s(self) -> tuple[float, float]:
        """CPU time of all processes, and of those of the model."""
        total = model = 0.0
        for process in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
                if _MODEL_PROCESS in " ".join(process.cmdline()):
                    model += times.user + times.system
        return total, model

    def _watch_memory(self) -> None:
        while True:
            self._memory = max(self._memory, sum(map(_memory_mib, self._processes)))
            if self._is_over.wait(_PERIOD_S):
                return


def _memory_mib(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error, OSError):
        return float(process.memory_full_info().pss) / _MIB
    return 0.0
