"""ONNX Runtime and Paddle without a server: milliseconds per image, batch 1 and 8, on 1 and 2 threads.

    build/peers/onnxruntime/.venv/bin/python benchmarks/peers/onnxruntime/bare.py

Each combination of engine and threads is measured in a process of its own, since an idle thread of one engine
spins for a while in the way of the other. The two take turns, and the medians over all turns are printed: as
a table, or with --json for another program. The model is what `peers.py onnxruntime` prepared.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.peers.onnxruntime.engine import OnnxPredictor  # noqa: E402
from clas.device import import_paddle  # noqa: E402
from clas.model_files import find_model  # noqa: E402
from clas.predictor import AnyPredictor, Predictor  # noqa: E402
from clas.settings import Settings  # noqa: E402

ENGINES: Final = ("paddle", "onnxruntime")
THREADS: Final = (1, 2)
BATCHES: Final = (1, 8)
_MODEL: Final = ROOT / "build" / "peers" / "onnxruntime" / "model"


def main() -> None:
    """Start one process after the other, and print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model_dir", type=Path, default=_MODEL, help="(default: build/peers/onnxruntime/model)"
    )
    parser.add_argument("--turns", type=int, default=5, help="of each engine (default: 5)")
    parser.add_argument("--seconds", type=float, default=1, help="per batch size and turn (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--engine", choices=ENGINES, help="measure this one alone, in this process")
    parser.add_argument("--threads", type=int, default=1, help="with --engine (default: 1)")
    args = parser.parse_args()
    if args.engine:
        print(json.dumps(measure(args.engine, args.threads, args.model_dir, args.seconds)))
        return
    times: dict[tuple[str, int, int], list[float]] = {}
    for _ in range(args.turns):
        for threads in THREADS:
            for engine in ENGINES:
                command = [sys.executable, "-W", "ignore", __file__, "--engine", engine]
                command += ["--threads", str(threads), "--seconds", str(args.seconds)]
                command += ["--model_dir", str(args.model_dir)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                for batch, took in json.loads(output).items():
                    times.setdefault((engine, threads, int(batch)), []).extend(took)
    medians = {key: statistics.median(took) for key, took in sorted(times.items())}
    if args.json:
        names = ("engine", "threads", "batch", "ms_per_image")
        print(
            json.dumps([dict(zip(names, (*key, ms), strict=True)) for key, ms in medians.items()], indent=2)
        )
        return
    for (engine, threads, batch), ms in medians.items():
        print(f"{engine:12} threads {threads}  batch {batch}  {ms:6.2f} ms/image")


def measure(engine: str, threads: int, model_dir: Path, seconds: float) -> dict[int, list[float]]:
    """Run one engine in a loop.

    Returns:
        Batch size -> milliseconds per image, of each run.
    """
    settings = Settings(
        inference_model_dir=str(model_dir),
        cpu_num_threads=threads,
        overridden=frozenset({"inference_model_dir"}),
    )
    files = find_model(settings)
    predictor: AnyPredictor
    if engine == "paddle":
        import_paddle()
        predictor = Predictor(files, settings)
    else:
        predictor = OnnxPredictor(files, settings)
    times: dict[int, list[float]] = {}
    for size in BATCHES:
        batch = np.random.default_rng(0).standard_normal((size, 3, 224, 224), np.float32)
        predictor.run(batch)  # the first of a shape prepares for it
        predictor.run(batch)
        times[size] = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            start = time.perf_counter()
            predictor.run(batch)
            times[size].append(1000 * (time.perf_counter() - start) / size)
    return times


if __name__ == "__main__":
    main()
