"""clas-batch on a Ray cluster: each image once whatever is killed, and what an image costs.

    python benchmarks/ray_batch.py kills [--images 20000] [--part_rows 200]
    python benchmarks/ray_batch.py speed [--images 600] [--rounds 3]

`kills` runs a job on three nodes of this machine while an actor, a node and the driver are killed, and checks
that each image is in the output once, with its own number as its class. `speed` compares a job with one actor
on all cores with `python -m clas`, and with the client and the standalone server, in rounds that alternate;
the time before the first fifth of the results isn't counted, so that starting doesn't count.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow.parquet as pq
from repository import MODEL, ROOT

sys.path.insert(1, str(ROOT / "tests"))

# isort: split
import sample_images
from servers import standalone
from usage import processes

# isort: split
from ray_cluster import JobCluster, job_cluster, write_numbered_images
from serving_process import eventually
from tiny_models import hidden_number, write_model

_CORES: Final = os.cpu_count() or 1
_SMALL: Final = (
    *("--crop_size", "32", "--resize_short", "32"),
    *("--class_id_map_file", "", "--topk", "1"),
)
_ACTOR: Final = "ray::MapWorker"
_COLUMNS: Final = ("images_per_s", "cpu_ms", "actors_cpu_ms")
_POLL_S: Final = 0.5
_WARM_PART: Final = 0.2
_PATIENCE_S: Final = 3600.0


@contextlib.contextmanager
def _job(cluster: JobCluster, *flags: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-W", "ignore", "-m", "clas.serving.on_ray.batch", *flags]
    env = {**os.environ, "RAY_ADDRESS": cluster.address}
    with subprocess.Popen(command, cwd=ROOT, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def kills(images: int, part_rows: int) -> dict[str, Any]:
    """Kill an actor, a node and the driver at a sixth, a third and half of the parts; returns what came."""
    with tempfile.TemporaryDirectory() as directory, job_cluster() as cluster:
        work = Path(directory)
        folder, output = write_numbered_images(work / "images", images), work / "results"
        (work / "model").mkdir()
        model = write_model(work / "model", hidden_number)
        flags = ["--input", str(folder), "--output", str(output), "--part_rows", str(part_rows)]
        flags += ["--inference_model_dir", str(model), *_SMALL, "--min_actors", "3"]
        for _ in range(3):
            cluster.add_node()
        num_parts = -(-images // part_rows)
        count: Callable[[], int] = lambda: len([*output.glob("part-*")])  # noqa: E731
        start = time.monotonic()
        with _job(cluster, *flags):
            eventually(lambda: count() >= num_parts / 6, _PATIENCE_S)
            cluster.actors(next(node for node in cluster.nodes if cluster.actors(node)))[0].kill()
            print(f"an actor killed, {count()} of {num_parts} parts", file=sys.stderr)
            eventually(lambda: count() >= num_parts / 3, _PATIENCE_S)
            cluster.kill_node(cluster.nodes[0])
            print(f"a node killed, {count()} of {num_parts} parts", file=sys.stderr)
            eventually(lambda: count() >= num_parts / 2, _PATIENCE_S)
        before = {file.name: file.stat().st_mtime_ns for file in output.glob("part-*")}
        print(f"the driver killed, {len(before)} of {num_parts} parts", file=sys.stderr)
        with _job(cluster, *flags) as process:
            process.wait()
        seconds = time.monotonic() - start
        again = sum((output / name).stat().st_mtime_ns != at for name, at in before.items())
        table = pq.read_table([str(file) for file in output.glob("part-*")]).to_pylist()
        found = Counter(row["path"] for row in table)
        right = sum(row["class_ids"] == [int(Path(row["path"]).stem) % 1000] for row in table)
        return {
            "images": images,
            "rows": len(table),
            "images in it once": sum(number == 1 for number in found.values()),
            "right": right,
            "parts before the driver was killed": len(before),
            "of these computed again": again,
            "seconds": round(seconds, 1),
        }


class _Watch:
    """Sums up the CPU time of processes and all of their children, those that have ended included.

    Args:
        roots: The processes; none for the children of this one, which itself takes time to look at them.
    """

    def __init__(self, roots: Sequence[psutil.Process] = ()) -> None:
        self._roots = roots
        self._cpu_s: dict[int, float] = {}
        self._actors: set[int] = set()

    def cpu_s(self) -> float:
        """All of them."""
        for root in self._roots or psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                for process in [root, *root.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        times = process.cpu_times()
                        self._cpu_s[process.pid] = times.user + times.system
                        if _ACTOR in " ".join(process.cmdline()):
                            self._actors.add(process.pid)
        return sum(self._cpu_s.values())

    def actors_cpu_s(self) -> float:
        """Those that have an engine, as of the last look; 0 without Ray."""
        return sum(self._cpu_s[pid] for pid in self._actors)


def _measure(watch: _Watch, count: Callable[[], int], images: int) -> dict[str, float]:
    """Wait for all results; those that come before the first fifth is there aren't counted."""
    _await(lambda: count() >= _WARM_PART * images, watch)
    first, start_s, cpu_s = count(), time.perf_counter(), watch.cpu_s()
    actors_cpu_s = watch.actors_cpu_s()
    _await(lambda: count() >= images, watch)
    seconds, done = time.perf_counter() - start_s, images - first
    return {
        "images_per_s": done / seconds,
        "cpu_ms": 1000 * (watch.cpu_s() - cpu_s) / done,
        "actors_cpu_ms": 1000 * (watch.actors_cpu_s() - actors_cpu_s) / done,
    }


def _await(is_so: Callable[[], bool], watch: _Watch) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the results don't come")
        watch.cpu_s()
        time.sleep(_POLL_S)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _offline(folder: Path, images: int, work: Path) -> dict[str, float]:
    output = work / "offline.jsonl"
    command = [sys.executable, "-W", "ignore", "-m", "clas", str(folder), "--format", "json"]
    with output.open("wb") as stream, subprocess.Popen(command, cwd=ROOT, stdout=stream) as process:
        return _measure(_Watch([psutil.Process(process.pid)]), lambda: _lines(output), images)


def _by_http(folder: Path, images: int, work: Path) -> dict[str, float]:
    output = work / "client.jsonl"
    output.unlink(missing_ok=True)
    with standalone() as running:
        command = [sys.executable, "-W", "ignore", str(ROOT / "test_hubserving.py"), "--quiet"]
        command += ["--server_url", running.url, "--image_file", str(folder), "--output", str(output)]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([*command, "--wire", "encoded"], **streams) as client:  # type: ignore[call-overload]
            watch = _Watch([*processes(running.mark), psutil.Process(client.pid)])
            return _measure(watch, lambda: _lines(output), images)


def _as_job(folder: Path, images: int, work: Path) -> dict[str, float]:
    """One actor on all cores; a part has a twentieth of the images, which count when it is there."""
    output = Path(tempfile.mkdtemp(dir=work))
    part_rows = max(1, images // 20)
    with job_cluster() as cluster:
        cluster.add_node(_CORES)
        flags = ["--input", str(folder), "--output", str(output), "--inference_model_dir", str(MODEL)]
        flags += ["--num_cpus", str(_CORES), "--max_actors", "1", "--part_rows", str(part_rows)]
        with _job(cluster, *flags):
            count = lambda: part_rows * len([*output.glob("part-*")])  # noqa: E731
            return _measure(_Watch(), count, images)


def speed(images: int, rounds: int) -> list[dict[str, Any]]:
    """Measure the three, in turn."""
    images -= images % 20
    rows = []
    ways = {"python -m clas": _offline, "clas-batch, 1 actor": _as_job, "client and server": _by_http}
    with tempfile.TemporaryDirectory() as directory:
        sample_images.write(Path(directory) / "images", images)
        for number in range(rounds):
            for name, way in ways.items():
                row = {
                    "round": number,
                    "name": name,
                    **way(Path(directory) / "images", images, Path(directory)),
                }
                print(row, file=sys.stderr)
                rows.append(row)
    for name in ways:
        same = [row for row in rows if row["name"] == name]
        medians = [statistics.median(float(str(row[key])) for row in same) for key in _COLUMNS]
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in medians)} |")
    return rows


def main() -> int:
    """Measure, and write what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("kills", "speed"))
    parser.add_argument("--images", type=int, help="(default: 20000 of kills, 600 of speed)")
    parser.add_argument("--part_rows", type=int, default=200, help="(default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    args = parser.parse_args()
    if args.what == "kills":
        print(json.dumps(kills(args.images or 20_000, args.part_rows), indent=1))
    else:
        output = ROOT / "build" / "bench" / "ray_batch.json"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(speed(args.images or 600, args.rounds), indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
