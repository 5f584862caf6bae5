"""The limit: an engine in a loop, without any server. Prints JSON; `bench.py` runs it.

    python benchmarks/bare.py --threads 2 --batch 8 [--precision bf16] [--seconds 3]

With `--engine onnxruntime` it is run by that peer's Python, on the model that was converted for it.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from repository import MODEL, ROOT

# isort: split
from clas.engine.base import Engine
from clas.engine.paddle import PaddleEngine
from clas.engine.paddle_config import import_paddle
from clas.model.files import find_model
from clas.settings import Settings


def main() -> None:
    """Measure, and print a JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=("paddle", "onnxruntime"), default="paddle")
    parser.add_argument("--model_dir", type=Path, default=MODEL, help="(default: clas/inference)")
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16 (default: fp32)")
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    parser.add_argument("--batch", type=int, default=8, help="images (default: 8)")
    parser.add_argument("--seconds", type=float, default=3, help="(default: 3)")
    parser.add_argument("--plain", action="store_true", help="without MKL-DNN and IR optimisation")
    args = parser.parse_args()
    settings = Settings(
        inference_model_dir=str(args.model_dir),
        cpu_num_threads=args.threads,
        precision=args.precision,
        enable_mkldnn=not args.plain,
        ir_optim=not args.plain,
        overridden=frozenset({"inference_model_dir"}),
    )
    print(json.dumps(measure(_open(args.engine, settings), args.batch, args.seconds)))


def measure(engine: Engine, batch_size: int, seconds: float) -> dict[str, object]:
    """Run an engine in a loop.

    Returns:
        `batch`: its size; `ms`: of each run of it; `cpu_ms`: CPU time of one run, of all threads;
        `memory_mib`: largest memory of the process.
    """
    batch = np.random.default_rng(0).standard_normal((batch_size, 3, 224, 224), np.float32)
    for _ in range(3):  # the first of a shape prepares for it
        engine.run(batch)
    times: list[float] = []
    cpu, until = time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        engine.run(batch)
        times.append(1000 * (time.perf_counter() - start))
    return {
        "batch": batch_size,
        "ms": times,
        "cpu_ms": 1000 * (time.process_time() - cpu) / len(times),
        "memory_mib": _peak_memory_mib(),
    }


def _peak_memory_mib() -> float:
    """Of this process; resource.getrusage would tell that of the one which started it, if that had more."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _open(name: str, settings: Settings) -> Engine:
    files = find_model(settings)[0]
    if name == "onnxruntime":
        from peers.onnxruntime.engine import OnnxEngine  # noqa: PLC0415  # in that peer's environment only

        engine: Engine = OnnxEngine(files, settings)
        return engine
    import_paddle()
    return PaddleEngine(files, settings)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
