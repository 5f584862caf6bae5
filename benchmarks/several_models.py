"""What several models in one server cost: how two under full load share the cores, and what idle ones take.

    python benchmarks/several_models.py

The default model is served under several names, each loaded for itself. Clients send uint8 images.
"""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import load
import repository  # noqa: F401  # lets Python find the rest
from bodies import clear_images, make_bodies, write_bodies
from repository import MODEL

# isort: split
from servers import Running, standalone
from usage import Meter

from clas.classifier import Classifier
from clas.protocol import MODULE_NAME

_IMAGES: Final = 16
_CLIENTS: Final = 8
_IDLE: Final = 5
_IDLE_S: Final = 10
_SETTLE_S: Final = 3.0


def main() -> int:
    """Measure each engine, and print a table of shares and one of idle models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="over which the median is taken (default: 3)")
    parser.add_argument("--seconds", type=float, default=4, help="of each load (default: 4)")
    parser.add_argument("--engines", default="openvino,paddle", help="default: openvino,paddle")
    args = parser.parse_args()
    engines = args.engines.split(",")
    with tempfile.TemporaryDirectory() as directory:
        bodies = Path(directory) / "bodies"
        classifier = Classifier.open(MODEL)
        write_bodies(bodies, make_bodies("uint8", clear_images(classifier, _IMAGES), 1))
        del classifier
        print("| Engine | Alone, images/s | First of two | Second of two | Shares |\n|---|---|---|---|---|")
        for engine in engines:
            print(share_row(engine, bodies, args.rounds, args.seconds), flush=True)
    print("\n| Engine | MiB with one | MiB for each further one | CPU ms a second, idle: one | six |")
    print("|---|---|---|---|---|")
    for engine in engines:
        print(idle_row(engine), flush=True)
    return 0


def share_row(engine: str, bodies: Path, rounds: int, seconds: float) -> str:
    """Load one model, then two at once, in turn."""
    alone: list[float] = []
    both: list[tuple[float, float]] = []
    with standalone((*_named(1), "--engine", engine)) as running, ThreadPoolExecutor(2) as pool:
        urls = [running.url, running.url.replace(MODULE_NAME, "m1")]

        def images_a_second(url: str) -> float:
            seen = load.run(url, bodies, _CLIENTS, seconds, running.pattern)
            return seen.requests / seen.seconds

        for _ in range(rounds):
            alone.append(images_a_second(urls[0]))
            first, second = pool.map(images_a_second, urls)
            both.append((first, second))
    base = statistics.median(alone)
    first, second = (statistics.median(values) for values in zip(*both, strict=True))
    return f"| {engine} | {base:.0f} | {first:.0f} | {second:.0f} | {first / base:.0%}, {second / base:.0%} |"


def idle_row(engine: str) -> str:
    """Start a server of one model, and one of several."""
    memory, cpu_ms = [], []
    for others in (0, _IDLE):
        with standalone((*_named(others), "--engine", engine)) as running:
            wait_for_all(running)
            with Meter(running.mark) as meter:
                time.sleep(_IDLE_S)
        memory.append(meter.usage.memory_mib)
        cpu_ms.append(1000 * meter.usage.cpu_s / _IDLE_S)
    each = (memory[1] - memory[0]) / _IDLE
    return f"| {engine} | {memory[0]:.0f} | {each:.0f} | {cpu_ms[0]:.1f} | {cpu_ms[1]:.1f} |"


def wait_for_all(running: Running) -> None:
    """Wait until all predictors of all models serve."""
    port = urlsplit(running.url).port or 0
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/")
        told = [model["predictors"] for model in json.load(connection.getresponse())["models"]]
        connection.close()
        if all(predictors["serving"] == predictors["wanted"] for predictors in told):
            time.sleep(_SETTLE_S)
            return
        time.sleep(_SETTLE_S / 10)


def _named(count: int) -> Sequence[str]:
    """Flags that serve the default model under further names."""
    return [flag for number in range(1, count + 1) for flag in ("--model", f"m{number}={MODEL}")]


if __name__ == "__main__":
    sys.exit(main())
