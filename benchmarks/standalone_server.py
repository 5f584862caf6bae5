"""Two claims about the standalone server, measured on the default model.

    python benchmarks/standalone_server.py

1. From the command to a server that is ready: under 4 s.
2. While it is saturated with requests of 8 images, in either form, /health/live answers within 100 ms.

Times depend on the machine and on what else it does: each is taken several times, and the median told.
"""

import argparse
import contextlib
import http.client
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from clas.protocol import files_body, tensor_body  # noqa: E402
from demo import photograph  # noqa: E402
from server_process import free_port, server_process  # noqa: E402

_IMAGES: Final = 8
_PATH: Final = "/predict/clas_system"
_JSON: Final = {"Content-Type": "application/json"}


def main() -> int:
    """Measure, and print a line for each claim."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=5, help="how often it is started (default: 5)")
    parser.add_argument("--clients", type=int, default=8, help="that send all the time (default: 8)")
    parser.add_argument("--seconds", type=float, default=30, help="of saturation (default: 30)")
    args = parser.parse_args()
    starts = [measure_start() for _ in range(args.starts)]
    shown = ", ".join(f"{seconds:.2f}" for seconds in starts)
    print(f"ready after: median {statistics.median(starts):.2f} s ({shown})")
    for form, body in (("tensor", tensor_request()), ("images", images_request())):
        measure_saturation(form, body, args.clients, args.seconds)
    return 0


def tensor_request() -> bytes:
    """8 preprocessed images."""
    return tensor_body(np.random.default_rng(0).random((_IMAGES, 3, 224, 224), np.float32))


def images_request() -> bytes:
    """8 photographs as they are."""
    return files_body([photograph("rocket.jpg").read_bytes()] * _IMAGES)


def measure_start() -> float:
    """Seconds from the command to the first 200 of /health/ready."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory), free_port()):
        return time.perf_counter() - start


def serving(directory: Path, port: int) -> "contextlib.AbstractContextManager[subprocess.Popen[bytes]]":
    """The server on the default model, for the time of a block."""
    command = [sys.executable, "-W", "ignore", "-m", "clas.serving", "start", "-m", "clas_system"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(directory)}
    is_up = partial(is_ready, port)
    return server_process([*command, "-p", str(port)], directory / "log", env, directory, is_up)


def is_ready(port: int) -> bool:
    """Whether /health/ready answers 200."""
    try:
        return get(port, "/health/ready") == http.client.OK
    except OSError:
        return False


def get(port: int, path: str) -> int:
    """The status that a GET is answered with, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def measure_saturation(form: str, body: bytes, num_clients: int, seconds: float) -> None:
    """Ask /health/live ten times a second while other processes keep the server busy."""
    port = free_port()
    stop = multiprocessing.Event()
    answered = multiprocessing.Value("i", 0)
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory), port):
        clients = [
            multiprocessing.Process(target=keep_busy, args=(port, body, stop, answered))
            for _ in range(num_clients)
        ]
        for client in clients:
            client.start()
        time.sleep(3)
        latencies = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            start = time.perf_counter()
            get(port, "/health/live")
            latencies.append(1000 * (time.perf_counter() - start))
            time.sleep(0.1)
        stop.set()
        for client in clients:
            client.join()
    latencies.sort()
    percentiles = ", ".join(f"p{p} {latencies[len(latencies) * p // 100]:.0f}" for p in (50, 90, 99))
    print(
        f"{form}, {num_clients} clients, {_IMAGES} images a request: {answered.value} requests answered; "
        f"/health/live asked {len(latencies)} times: {percentiles}, longest {latencies[-1]:.0f} ms"
    )


def keep_busy(port: int, body: bytes, stop: Event, answered: "Synchronized[int]") -> None:
    """Send one request after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.is_set():
        connection.request("POST", _PATH, body, _JSON)
        response = connection.getresponse()
        response.read()
        if response.status == http.client.OK:
            with answered.get_lock():
                answered.value += 1


if __name__ == "__main__":
    sys.exit(main())
