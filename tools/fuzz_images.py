"""Decode any number of changed image files, in processes that may die of them: `make fuzz`.

Of each version of OpenCV that is given by its Python, and of each file: does the process die, does it take
more than a second of CPU, or more memory than 4 x width x height x 3 + 16 MB? Two processes decode each
file. One finds fresh memory filled with other bytes than the other (glibc.malloc.perturb), so that pixels
which were never written differ. What fails is kept in build/fuzz.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from fuzz_decoder import Files

KEPT: Final = Path("build/fuzz")
_BATCH: Final = 2000  # files that a process decodes
_MAX_CPU_S: Final = 1.0
_NONE: Final = -1
_BYTES_PER_PIXEL: Final = 4 * 3
_BYTES: Final = 16 * 2**20
_FILLERS: Final = (1, 201)
_MALLOC: Final = "glibc.malloc.perturb={}:glibc.malloc.tcache_count=0:glibc.malloc.mmap_threshold=4194304"

_Costs = dict[int, Mapping[str, Any]]
_Failures = dict[int, str]


def fuzz(python: str, seed: int, start: int, end: int) -> tuple[_Costs, _Failures]:
    """Decode some of the files.

    Args:
        python: The interpreter of an environment with OpenCV, NumPy and Pillow.
        seed: Chooses the changes.
        start: The number of the first file.
        end: That of the last one, and 1.

    Returns:
        What each file cost that was decoded, and what each file did that failed, by their numbers.
    """
    with ThreadPoolExecutor(len(_FILLERS)) as executor:
        results = [executor.submit(_decode_all, python, filler, (seed, start, end)) for filler in _FILLERS]
        (one, failures), (other, others) = (result.result() for result in results)
    failures |= others
    for number in one.keys() & other.keys():
        if one[number]["digest"] != other[number]["digest"]:
            failures[number] = "memory that was never written"
        for cost in (one[number], other[number]):
            if cost["cpu_s"] > _MAX_CPU_S:
                failures[number] = f"{cost['cpu_s']:.1f} s for {cost['pixels']} pixels"
            if cost["memory"] > _BYTES_PER_PIXEL * cost["pixels"] + _BYTES:
                failures[number] = f"{cost['memory'] >> 20} MB for {cost['pixels']} pixels"
    return one, failures


def _decode_all(python: str, filler: int, numbers: tuple[int, int, int]) -> tuple[_Costs, _Failures]:
    """Decode files in one process after the other; a new one goes on behind a file that the last died of."""
    seed, start, end = numbers
    costs: _Costs = {}
    failures: _Failures = {}
    with tempfile.NamedTemporaryFile() as state:
        while start < end:
            state.seek(0)
            state.write(struct.pack("<q", _NONE))
            state.flush()
            status = _decode_some(python, filler, (state.name, seed, start, end), costs)
            (last,) = struct.unpack("<q", Path(state.name).read_bytes())
            if last == _NONE:
                raise RuntimeError(f"{python} can't run fuzz_decoder.py: status {status}")
            if last < end:
                failures[last] = f"ended by status {status}"
            start = last + 1
    return costs, failures


def _decode_some(python: str, filler: int, arguments: tuple[object, ...], costs: _Costs) -> int:
    """Run fuzz_decoder.py, and add what it says; returns its status."""
    command = [python, "-W", "ignore", str(Path(__file__).with_name("fuzz_decoder.py"))]
    done = subprocess.run(
        [*command, *(str(argument) for argument in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GLIBC_TUNABLES": _MALLOC.format(filler), "OPENCV_LOG_LEVEL": "SILENT"},
        check=False,
    )
    for line in done.stdout.splitlines():
        cost = json.loads(line)
        costs[cost["number"]] = cost
    return done.returncode


def _batches(start: int, count: int, minutes: float) -> Iterator[tuple[int, int]]:
    """Yield numbers of files until there were so many, or the time is over."""
    until = time.monotonic() + 60 * minutes
    for first in range(start, start + count, _BATCH):
        if time.monotonic() > until:
            return
        yield first, min(first + _BATCH, start + count)


def _version(python: str) -> str:
    command = [python, "-c", "import cv2; print(cv2.__version__)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _try(python: str, options: argparse.Namespace) -> bool:
    """Decode files with one version, and print what came of it; returns whether none failed."""
    version = _version(python)
    files = Files(options.seed)
    tried, decoded = 0, Counter[str]()
    slowest: Mapping[str, Any] = {"cpu_s": 0.0, "pixels": 0}
    failed = 0
    for start, end in _batches(options.start, options.count, options.minutes):
        costs, failures = fuzz(python, options.seed, start, end)
        tried += end - start
        decoded.update(files.name(number).split()[0] for number, cost in costs.items() if cost["digest"])
        slowest = max([slowest, *costs.values()], key=lambda cost: cost["cpu_s"])
        failed += len(failures)
        for number, reason in sorted(failures.items()):
            KEPT.mkdir(parents=True, exist_ok=True)
            kept = KEPT / f"{version}_{options.seed}_{number}"
            kept.write_bytes(files[number])
            print(f"OpenCV {version}: {kept} ({files.name(number)}): {reason}", flush=True)
    shown = ", ".join(f"{name} {count}" for name, count in sorted(decoded.items()))
    print(
        f"OpenCV {version}: {tried} files, {failed} failed; decoded: {shown}; "
        f"slowest: {slowest['cpu_s']:.2f} s for {slowest['pixels']} pixels",
        flush=True,
    )
    return not failed


def main() -> int:
    """Decode with each version; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pythons", nargs="+", help="interpreters with OpenCV, NumPy and Pillow")
    parser.add_argument("--minutes", type=float, default=2, help="for each of them")
    parser.add_argument("--count", type=int, default=10**9, help="files at most")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="chooses the changes")
    parser.add_argument("--start", type=int, default=0, help="number of the first file")
    options = parser.parse_args()
    print(f"--seed {options.seed}", flush=True)
    results = [_try(python, options) for python in options.pythons]
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main())
