"""While the standalone server is saturated with requests of 8 images, /health/live answers within 100 ms.

    python benchmarks/liveness.py

Measured on the default model, in the tensor form and with image files.
"""

import argparse
import http.client
import multiprocessing
import sys
import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import repository  # noqa: F401  # lets Python find the rest

# isort: split
from servers import standalone

from clas.protocol import PREDICT_PATH, files_body, tensor_body
from demo import photograph

_IMAGES: Final = 8
_JSON: Final = {"Content-Type": "application/json"}


def main() -> int:
    """Measure, and print a line for each claim."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=8, help="that send all the time (default: 8)")
    parser.add_argument("--seconds", type=float, default=30, help="of saturation (default: 30)")
    args = parser.parse_args()
    for form, body in (("tensor", tensor_request()), ("images", images_request())):
        measure_saturation(form, body, args.clients, args.seconds)
    return 0


def tensor_request() -> bytes:
    """8 preprocessed images."""
    return tensor_body(np.random.default_rng(0).random((_IMAGES, 3, 224, 224), np.float32))


def images_request() -> bytes:
    """8 photographs as they are."""
    return files_body([photograph("rocket.jpg").read_bytes()] * _IMAGES)


def get(port: int, path: str) -> int:
    """The status that a GET is answered with, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def measure_saturation(form: str, body: bytes, num_clients: int, seconds: float) -> None:
    """Ask /health/live ten times a second while other processes keep the server busy."""
    stop = multiprocessing.Event()
    answered = multiprocessing.Value("i", 0)
    with standalone() as running:
        port = urlsplit(running.url).port or 0
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
        connection.request("POST", PREDICT_PATH, body, _JSON)
        response = connection.getresponse()
        response.read()
        if response.status == http.client.OK:
            with answered.get_lock():
                answered.value += 1


if __name__ == "__main__":
    sys.exit(main())
