"""The limit: an engine in a loop, without any server. Prints JSON; `bench.py` runs it.

    python benchmarks/bare.py [--engine openvino] [--threads 2] [--at_once 2] [--batch 1] [--precision bf16]

Engines that read ONNX take `inference.onnx` from `--model_dir`; see `clas.engine.choice.files_for`.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from repository import MODEL, ROOT

# isort: split
from clas.engine.base import Batch, Engine, EngineClass
from clas.engine.choice import files_for
from clas.engine.onnxruntime import OnnxRuntimeEngine
from clas.engine.openvino import OpenVINOEngine
from clas.engine.paddle import PaddleEngine
from clas.model.files import find_model
from clas.settings import Settings

ENGINES: Final[Sequence[EngineClass]] = (OpenVINOEngine, PaddleEngine, OnnxRuntimeEngine)


def main() -> None:
    """Measure, and print a JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--engine", choices=[each.name for each in ENGINES], default="openvino", help="(default: openvino)")
    add("--model_dir", type=Path, default=MODEL, help="(default: clas/inference)")
    add("--precision", default="fp32", help="fp32 or bf16 (default: fp32)")
    add("--threads", type=int, default=1, help="of the CPU, in all (default: 1)")
    add("--at_once", type=int, default=1, help="batches under way side by side (default: 1)")
    add("--batch", type=int, default=8, help="images (default: 8)")
    add("--seconds", type=float, default=3, help="(default: 3)")
    args = parser.parse_args()
    settings = Settings(
        inference_model_dir=str(args.model_dir),
        engine=args.engine,
        cpu_num_threads=args.threads,
        precision=args.precision,
        overridden=frozenset({"inference_model_dir"}),
    )
    engine = _open(settings, args.at_once)
    print(json.dumps(measure(engine, args.batch, args.at_once, args.seconds)))


def measure(engine: Engine, batch_size: int, at_once: int, seconds: float) -> dict[str, object]:
    """Run an engine in a loop.

    Args:
        engine: A model that takes any size, or 224 x 224.
        batch_size: Images of a batch.
        at_once: Threads that run batches.
        seconds: How long.

    Returns:
        `images_per_s`; `ms`: of each batch; `cpu_ms`: CPU time for one image, of all threads;
        `memory_mib`: largest memory of the process.
    """
    batch = np.random.default_rng(0).standard_normal((batch_size, 3, 224, 224), np.float32)
    for _ in range(3):  # the first of a shape prepares for it
        engine.run(batch)
    times: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    threads = [
        threading.Thread(target=_run_until, args=(start + seconds, engine, batch, times))
        for _ in range(at_once)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    images = batch_size * len(times)
    return {
        "images_per_s": images / (time.perf_counter() - start),
        "ms": times,
        "cpu_ms": 1000 * (time.process_time() - cpu) / images,
        "memory_mib": _peak_memory_mib(),
    }


def _run_until(until: float, engine: Engine, batch: Batch, times: list[float]) -> None:
    while (start := time.perf_counter()) < until:
        engine.run(batch)
        times.append(1000 * (time.perf_counter() - start))


def _peak_memory_mib() -> float:
    """Of this process; resource.getrusage would tell that of the one which started it, if that had more."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _open(settings: Settings, at_once: int) -> Engine:
    engine_class = next(each for each in ENGINES if each.name == settings.engine)
    engine_class.prepare_process()
    return engine_class(files_for(engine_class, find_model(settings)), settings, at_once)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
