"""The load generator: wrk, in a process of its own, that checks each answer (wrk.lua)."""

import dataclasses
import json
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

_SCRIPT: Final = Path(__file__).resolve().parent / "wrk.lua"
_TIMEOUT_S: Final = 60


@dataclasses.dataclass(frozen=True)
class Load:
    """What the clients saw.

    Attributes:
        requests: Answered, all of them rightly.
        seconds: From the first request to the end.
        latencies_ms: Of each request, from before it was sent until its answer was read; sorted.
        cpu_s: CPU time that wrk itself took.
    """

    requests: int
    seconds: float
    latencies_ms: Sequence[float]
    cpu_s: float

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies."""
        return float(np.percentile(self.latencies_ms, percent))


def run(
    url: str, bodies: Path, clients: int, seconds: float, pattern: str, cores: Sequence[int] = ()
) -> Load:
    """Have `clients` send one request after the other.

    Args:
        url: Where to.
        bodies: What `bodies.write_bodies` wrote.
        clients: How many connections; each has a thread of its own.
        seconds: How long.
        pattern: Of Lua: finds the first class of each image in an answer.
        cores: Where wrk may run; empty for everywhere.

    Raises:
        RuntimeError: An answer was wrong, or there was none.
        FileNotFoundError: There is no wrk.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise FileNotFoundError("the load generator wrk is not installed: apt-get install wrk")
    pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
    flags = ["-t", str(clients), "-c", str(clients), "-d", f"{seconds:.0f}s", "--timeout", f"{_TIMEOUT_S}s"]
    command = [*pinned, wrk, *flags, "-s", str(_SCRIPT), url, "--", str(bodies), str(clients), pattern]
    before = _cpu_of_children_s()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu_s = _cpu_of_children_s() - before
    seen = json.loads(output.splitlines()[-1])
    if seen["wrong"] or seen["errors"] or not seen["latencies_ms"]:
        raise RuntimeError(
            f"{url}: {seen['wrong']} wrong answers ({seen['example']}), {seen['errors']} without one, "
            f"{len(seen['latencies_ms'])} in all"
        )
    return Load(len(seen["latencies_ms"]), seen["seconds"], sorted(seen["latencies_ms"]), cpu_s)


def _cpu_of_children_s() -> float:
    """CPU time of those processes of this one that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
