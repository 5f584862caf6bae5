"""One figure after the other: a server under one load, a bare engine, the client on a folder."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import load
import numpy as np
import psutil
from bodies import Body
from repository import ROOT
from servers import Running
from usage import Meter

WARM_UP_S: Final = 1.0
"""How long a server is put under a load before that is measured."""
_BARE_SHARE: Final = 0.5  # of the time of a load: it varies less
_MIB: Final = 2**20
_POLL_S: Final = 0.1


@dataclasses.dataclass(frozen=True)
class Figures:
    """What came of one measurement; None where there is no such thing.

    Attributes:
        images_per_s: Images answered, and rightly, in a second.
        p50_ms: Median of the time of one request (of a bare engine: of one batch).
        p99_ms: Its 99th percentile.
        cpu_ms: CPU time of the server for one image.
        model_cpu_ms: Of it, that of the processes which hold the model; the standalone server's only.
        load_cpu_ms: CPU time of those who ask, for one image.
        memory_mib: Largest sum of the memory of the server's processes.
        wire_bytes: Bytes of a request's body for one image.
    """

    images_per_s: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_ms: float | None = None
    model_cpu_ms: float | None = None
    load_cpu_ms: float | None = None
    memory_mib: float | None = None
    wire_bytes: float | None = None


def under_load(
    running: Running,
    directory: Path,
    bodies: Sequence[Body],
    clients: int,
    seconds: float,
    cores: Sequence[int] = (),
) -> Figures:
    """Measure a server.

    Args:
        running: The server.
        directory: What `bodies.write_bodies` wrote of `bodies`.
        bodies: The requests.
        clients: How many send them, one after the other.
        seconds: How long.
        cores: Where the load generator may run; empty for everywhere.
    """
    load.run(running.url, directory, clients, WARM_UP_S, running.pattern, cores)
    with Meter(running.mark) as meter:
        seen = load.run(running.url, directory, clients, seconds, running.pattern, cores)
    batch_size = len(bodies[0].class_ids)
    images = seen.requests * batch_size
    usage = meter.usage
    return Figures(
        images_per_s=images / seen.seconds,
        p50_ms=seen.percentile_ms(50),
        p99_ms=seen.percentile_ms(99),
        cpu_ms=1000 * usage.cpu_s / images,
        model_cpu_ms=1000 * usage.model_cpu_s / images or None,
        load_cpu_ms=1000 * seen.cpu_s / images,
        memory_mib=usage.memory_mib,
        wire_bytes=sum(len(body.data) for body in bodies) / (len(bodies) * batch_size),
    )


def bare(options: Sequence[str], seconds: float, *, cores: str = "") -> Figures:
    """Measure an engine alone, in a process of its own.

    Args:
        options: Of bare.py: --engine, --threads, --batch and so on.
        seconds: How long a load takes.
        cores: Where it may run, as taskset has it; empty for everywhere.
    """
    pinned = ["taskset", "-c", cores] if cores else []
    command = [*pinned, sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "bare.py"), *options]
    command += ["--seconds", str(max(1, _BARE_SHARE * seconds))]
    env = {**os.environ, "GLOG_minloglevel": "2"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    found = json.loads(done.stdout.splitlines()[-1])
    return Figures(
        images_per_s=found["images_per_s"],
        p50_ms=float(np.median(found["ms"])),
        p99_ms=float(np.percentile(found["ms"], 99)),
        cpu_ms=found["cpu_ms"],
        memory_mib=found["memory_mib"],
    )


def client(running: Running, folder: Path, options: Sequence[str]) -> Figures:
    """Measure the project's client on a folder of images.

    Args:
        running: The server that it asks.
        folder: The images; all of them must be answered.
        options: More of the client's flags.

    Returns:
        With `memory_mib` the largest memory of the client, and with the CPU time of both.
    """
    images = sum(1 for _ in folder.iterdir())
    command = [sys.executable, "-W", "ignore", str(ROOT / "test_hubserving.py"), "--server_url", running.url]
    with Meter(running.mark) as meter:
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--image_file", str(folder), *options], stdout=subprocess.PIPE, text=True
        )
        memory, cpu_s, output = _watch(process)
        seconds = time.perf_counter() - start
    answered = output.count("The result(s): class_ids: [")
    if process.returncode or answered != images:
        raise RuntimeError(f"the client ended with {process.returncode}, {answered} of {images} answered")
    return Figures(
        images_per_s=images / seconds,
        cpu_ms=1000 * meter.usage.cpu_s / images,
        model_cpu_ms=1000 * meter.usage.model_cpu_s / images,
        load_cpu_ms=1000 * cpu_s / images,
        memory_mib=memory,
    )


def _watch(process: "subprocess.Popen[str]") -> tuple[float, float, str]:
    """Read what a process prints until it ends.

    Returns:
        Its largest resident memory in MiB, its CPU time in seconds, and what it printed.
    """
    watched = psutil.Process(process.pid)
    memory = cpu_s = 0.0
    output = ""
    while True:
        try:
            with watched.oneshot():
                times = watched.cpu_times()
                memory = max(memory, watched.memory_info().rss / _MIB)
                cpu_s = times.user + times.system or cpu_s
        except psutil.Error:
            pass
        try:
            output, _ = process.communicate(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            continue
        return memory, cpu_s, output
