"""Processes are killed and stopped, clients misbehave, more is asked than can be done: short forms.

`make chaos`, `make overload` and `make soak` give them minutes: `pytest --minutes N`.
"""

import contextlib
import itertools
import os
import random
import re
import signal
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from clas_client.batches import stacked_body
from clas_client.reply import ServiceError
from clas_client.sender import Sender
from serving_process import (
    REPOSITORY,
    Running,
    clas_serving,
    eventually,
    is_gone,
    server_env,
    tiny_config,
)
from tiny_models import numbered_batch, solid_batch
from wire import encode

paddles_config = partial(tiny_config, engine="paddle")  # in processes of its own, which a test can kill

pytestmark = pytest.mark.alone
WORKERS = {"use_multiprocess": True, "workers": 2}
on_both_engines = pytest.mark.parametrize("engine", ["openvino", "paddle"])
"""One computes in the server's own process, the other in processes of its own."""
HANG = """
import os, time
from clas.engine.openvino import OpenVINOEngine

run = OpenVINOEngine.run


def run_or_hang(self, batch):
    while os.path.exists(os.environ["HANG_WHILE_THERE_IS"]):
        time.sleep(0.01)
    return run(self, batch)


OpenVINOEngine.run = run_or_hang
"""
"""A sitecustomize.py: no real model hangs when a test wants it to."""


class Load:
    """Clients in threads, each with its own images, for the time of a block; see `loaded`.

    Attributes:
        answered: Requests with the right answer, so far.
        latencies: Seconds of each of them.
        failures: What the others came to.
    """

    def __init__(self, url: str, num_clients: int, retries: int) -> None:
        self.answered = 0
        self.latencies: list[float] = []
        self.failures: Counter[str] = Counter()
        self._url = url
        self._retries = retries
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(seed,)) for seed in range(num_clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        with contextlib.closing(Sender(self._url, timeout_s=60, retries=self._retries)) as sender:
            while not self._stop.is_set():
                numbers = generator.integers(0, 1000, generator.integers(1, 9)).tolist()
                start = time.perf_counter()
                try:
                    answer = sender.predict(list(numbered_batch(*numbers)), stacked_body)
                except ServiceError as exc:
                    with self._lock:
                        self.failures[str(exc)] += 1
                    if "503" not in str(exc):
                        time.sleep(0.05)
                    continue
                right = [entry["class_ids"] for entry in answer.predictions] == [[n] for n in numbers]
                with self._lock:
                    if not right:
                        self.failures["an answer that belongs to other images"] += 1
                        continue
                    self.answered += 1
                    self.latencies.append(time.perf_counter() - start)

    def goes_on(self) -> None:
        """Wait until more requests have been answered than now."""
        before = self.answered
        eventually(lambda: self.answered > before + 20)


@contextlib.contextmanager
def loaded(running: Running, num_clients: int, retries: int) -> Iterator[Load]:
    load = Load(running.url, num_clients, retries)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def rounds(minutes: float | None) -> Iterator[int]:
    """Once in the short form; again and again, for the time that is given, in the long one."""
    deadline = time.monotonic() + 60 * (minutes or 0)
    for number in itertools.count():
        yield number
        if time.monotonic() > deadline:
            return


@on_both_engines
@pytest.mark.parametrize("workers", [{}, WORKERS])
def test_each_of_many_clients_gets_the_answers_to_its_own_images(
    numbering_model: Path, tmp_path: Path, engine: str, workers: dict[str, Any], minutes: float | None
) -> None:
    """2,000 requests of 64 clients, each with images of its own; 10,000 in the long form."""
    wanted = 10_000 if minutes else 2_000
    config = tiny_config(numbering_model, engine=engine, **workers)
    with clas_serving(tmp_path, config=config) as running, loaded(running, 64, retries=0) as load:
        eventually(lambda: load.answered >= wanted, 300)
    assert not load.failures


@on_both_engines
def test_killed_processes_are_replaced_and_clients_that_retry_lose_nothing(
    numbering_model: Path, tmp_path: Path, engine: str, minutes: float | None
) -> None:
    num_models = 2 if engine == "paddle" else 0
    with (
        clas_serving(tmp_path, config=tiny_config(numbering_model, engine=engine, **WORKERS)) as running,
        loaded(running, 16, retries=8) as load,
    ):
        for _ in rounds(minutes):
            for processes in (running.workers, running.models)[: 2 if num_models else 1]:
                load.goes_on()
                random.choice(processes()).kill()  # noqa: S311
                load.goes_on()
                eventually(lambda: len(running.workers()) == 2 and len(running.models()) == num_models)
    assert not load.failures
    print(f"{load.answered} requests, none lost")


@on_both_engines
def test_a_killed_server_is_started_again_and_clients_that_retry_lose_nothing(
    numbering_model: Path, tmp_path: Path, engine: str, minutes: float | None
) -> None:
    """A single process: its socket stays open, and connections wait there for the next one."""
    lost = 0
    with (
        clas_serving(tmp_path, config=tiny_config(numbering_model, engine=engine)) as running,
        loaded(running, 8, retries=8) as load,
    ):
        for _ in rounds(minutes):
            load.goes_on()
            time.sleep(1)  # the parent is told that it is ready in the next tenth of a second
            [server] = running.servers()
            server.kill()
            lost += 1
            load.goes_on()
            assert running.metric("clas_process_restarts_total") == lost
    assert not load.failures
    print(f"{load.answered} requests, {lost} processes killed, none lost")


def test_a_server_whose_event_loop_stands_still_is_started_again(
    numbering_model: Path, tmp_path: Path
) -> None:
    with clas_serving(tmp_path, config=paddles_config(numbering_model, timeout_s=1)) as running:
        [server] = running.servers()
        time.sleep(1)  # the parent is told in the next tenth of a second
        server.suspend()
        eventually(lambda: is_gone(server))
        assert f"process {server.pid} has given no sign of life for" in running.log.read_text()
        eventually(lambda: requests.get(f"{running.base}/health/ready", timeout=30).ok)


def test_a_model_that_hangs_is_replaced_and_clients_that_retry_lose_nothing(
    numbering_model: Path, tmp_path: Path
) -> None:
    config = paddles_config(numbering_model, timeout_s=1.5)
    with clas_serving(tmp_path, config=config) as running, loaded(running, 8, retries=8) as load:
        load.goes_on()
        [hung] = running.models()
        hung.suspend()
        eventually(lambda: is_gone(hung))
        load.goes_on()
        assert "hasn't answered within 1.5 s: it is replaced" in running.log.read_text()
    assert not load.failures


def test_a_model_that_hangs_in_the_server_fails_its_requests_and_the_process_is_replaced(
    numbering_model: Path, tmp_path: Path
) -> None:
    hang = tmp_path / "hang"
    (tmp_path / "sitecustomize.py").write_text(HANG)
    path = os.pathsep.join((str(tmp_path), str(REPOSITORY)))
    env = server_env(tmp_path, PYTHONPATH=path, HANG_WHILE_THERE_IS=str(hang))
    config = tiny_config(numbering_model, engine="openvino", timeout_s=1)
    with clas_serving(tmp_path, config=config, env=env) as running:
        [server] = running.servers()
        hang.touch()
        start = time.monotonic()
        refused = requests.post(running.url, json=encode(numbered_batch(1)), timeout=60)
        assert refused.status_code == 503
        assert time.monotonic() - start < 3
        eventually(lambda: is_gone(server))
        hang.unlink()
        with loaded(running, 4, retries=8) as load:
            load.goes_on()
        assert not load.failures
        assert running.metric("clas_process_restarts_total") == 1


def test_of_several_predictors_one_is_replaced_while_the_others_answer(
    numbering_model: Path, tmp_path: Path
) -> None:
    """No request fails, even without a client that retries."""
    config = paddles_config(numbering_model, predictors=2)
    with clas_serving(tmp_path, config=config) as running, loaded(running, 8, retries=0) as load:
        eventually(lambda: len(running.models()) == 2)
        for _ in range(2):
            load.goes_on()
            killed = random.choice(running.models())  # noqa: S311
            killed.kill()
            load.goes_on()
            assert requests.get(f"{running.base}/health/ready", timeout=10).ok
            eventually(lambda: predictors_of(running) == {"serving": 2, "wanted": 2})
            assert killed.pid not in [model.pid for model in running.models()]
    assert not load.failures


def predictors_of(running: Running) -> Any:
    return requests.get(running.base, timeout=10).json()["predictors"]


def test_a_worker_whose_event_loop_stands_still_is_replaced_while_the_others_go_on(
    numbering_model: Path, tmp_path: Path
) -> None:
    config = paddles_config(numbering_model, timeout_s=1, **WORKERS)
    with clas_serving(tmp_path, config=config) as running, loaded(running, 8, retries=10) as load:
        hung, other = running.workers()
        load.goes_on()
        hung.suspend()
        while not is_gone(hung):
            assert requests.get(f"{running.base}/health/ready", timeout=10).ok  # from the other one
        eventually(lambda: len(running.workers()) == 2)
        assert other.is_running()
        load.goes_on()


@on_both_engines
@pytest.mark.parametrize("workers", [{}, WORKERS])
def test_sigterm_under_load_loses_nothing_that_is_in_flight(
    numbering_model: Path, tmp_path: Path, engine: str, workers: dict[str, Any]
) -> None:
    """Every request that the server has begun with is answered, and every answer has reached its client.

    A connection that no process has accepted yet is reset by the kernel, and an idle one is closed after a
    moment; of what a client sends there then, nothing is ever read. The log tells that nothing else was lost.
    """
    config = tiny_config(numbering_model, engine=engine, batch_wait_ms=50, **workers)
    with clas_serving(tmp_path, config=config) as running, loaded(running, 16, retries=0) as load:
        load.goes_on()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(30)
    assert {failure.partition(": ")[2] for failure in load.failures} <= {
        "Failed to establish a new connection: [Errno 111] Connection refused",
        "[Errno 104] Connection reset by peer",
        "Remote end closed connection without response",
    }
    statuses = Counter(re.findall(r"POST /predict/clas_system (\d+)", running.log.read_text()))
    assert statuses == {"200": load.answered}


@pytest.mark.parametrize("workers", [{}, WORKERS])
def test_a_prediction_that_never_ends_does_not_keep_the_server_from_stopping(
    numbering_model: Path, tmp_path: Path, workers: dict[str, Any]
) -> None:
    config = paddles_config(numbering_model, timeout_s=60, graceful_timeout_s=3, **workers)
    with clas_serving(tmp_path, config=config) as running, ThreadPoolExecutor(1) as client:
        models = running.models()
        for model in models:
            model.suspend()
        waiting = client.submit(requests.post, running.url, json=encode(numbered_batch(1)), timeout=60)
        eventually(lambda: running.metric("clas_queue_images") == 1)
        start = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert waiting.result().status_code == 503
        running.process.wait(30)
        assert time.monotonic() - start < 4
        eventually(lambda: all(is_gone(model) for model in models))


def stall(running: Running) -> None:
    """Half a body, then nothing."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
        head = b"POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(head + b"Content-Length: 100000\r\n\r\n" + b"{" * 50_000)
        client.recv(1000)


def hang_up(running: Running) -> None:
    """A whole request, but nobody waits for the answer."""
    body = requests.Request("POST", running.url, json=encode(numbered_batch(1, 2, 3))).prepare()
    assert isinstance(body.body, bytes)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
        head = "POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(body.body)}\r\n\r\n".encode() + body.body)


def send_garbage(running: Running) -> None:
    kinds = ("application/json", "image/png", "multipart/form-data; boundary=x", "text/plain", "")
    headers = {"Content-Type": random.choice(kinds)}  # noqa: S311
    body = random.randbytes(random.randrange(2000))  # noqa: S311
    response = requests.post(running.url, data=body, headers=headers, timeout=30)
    assert response.status_code in (400, 415)


def send_a_bad_shape(running: Running) -> None:
    response = requests.post(running.url, json=encode(solid_batch(1, side=31)), timeout=30)
    assert response.status_code == 400


MISBEHAVIOURS: tuple[Callable[[Running], None], ...] = (stall, hang_up, send_garbage, send_a_bad_shape)


def misbehave(running: Running, stop: threading.Event) -> int:
    count = 0
    while not stop.is_set():
        MISBEHAVIOURS[count % len(MISBEHAVIOURS)](running)
        count += 1
    return count


@contextlib.contextmanager
def misbehaviour(running: Running, num_clients: int) -> Iterator[None]:
    """Clients of every bad kind, for the time of a block."""
    stop = threading.Event()
    with ThreadPoolExecutor(num_clients) as clients:
        working = [clients.submit(misbehave, running, stop) for _ in range(num_clients)]
        try:
            yield
        finally:
            stop.set()
        assert all(client.result() for client in working)


@on_both_engines
def test_clients_that_misbehave_harm_nobody(numbering_model: Path, tmp_path: Path, engine: str) -> None:
    config = tiny_config(numbering_model, engine=engine, timeout_s=1)
    with (
        clas_serving(tmp_path, config=config) as running,
        loaded(running, 4, retries=0) as load,
        misbehaviour(running, 8),
    ):
        for _ in range(10):
            load.goes_on()
    assert not load.failures
    log = running.log.read_text()
    assert "Traceback" not in log
    assert "POST /predict/clas_system 408" in log
    assert "POST /predict/clas_system 5" not in log


@on_both_engines
def test_more_clients_than_it_can_serve_get_503_and_the_others_their_answer_in_time(
    default_model_dir: Path, tmp_path: Path, engine: str, minutes: float | None
) -> None:
    """Five times as many clients as there is room for; the default model, so that predicting takes long."""
    assert default_model_dir.is_dir()
    room, timeout_s = 8, 10.0
    module: dict[str, Any] = {"init_args": {"engine": engine}, "predict_args": {}}
    config = {"modules_info": {"clas_system": module}, "max_queue_images": room, "timeout_s": timeout_s}
    body = encode(np.zeros((1, 3, 224, 224), np.float32))
    seconds = 60 * minutes if minutes else 4
    with clas_serving(tmp_path, config=config) as running:
        alone = ask(running, body, 3)
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(5 * room) as clients:
            asked = [clients.submit(ask_until, running, body, until) for _ in range(5 * room)]
            outcomes = [outcome for client in asked for outcome in client.result()]
        afterwards = ask(running, body, 3)
    statuses = Counter(status for status, _ in outcomes)
    accepted = sorted(latency for status, latency in outcomes if status == 200)
    middle = accepted[len(accepted) // 2]
    print(f"{statuses}; of the accepted: median {middle:.2f} s, longest {accepted[-1]:.2f} s")
    print(f"alone before: {alone}, afterwards: {afterwards}")
    assert statuses.keys() == {200, 503}
    assert accepted[-1] < timeout_s
    assert [status for status, _ in (*alone, *afterwards)] == [200] * 6


def ask(running: Running, body: Any, times: int) -> list[tuple[int, float]]:
    """Status and latency of each request."""
    outcomes = []
    for _ in range(times):
        start = time.perf_counter()
        response = requests.post(running.url, json=body, timeout=60)
        outcomes.append((response.status_code, round(time.perf_counter() - start, 3)))
        if response.status_code == 503:
            assert response.headers["Retry-After"] == "1"
            time.sleep(0.2)
    return outcomes


def ask_until(running: Running, body: Any, until: float) -> list[tuple[int, float]]:
    outcomes = []
    while time.monotonic() < until:
        outcomes += ask(running, body, 1)
    return outcomes


@on_both_engines
def test_memory_stays_flat(numbering_model: Path, tmp_path: Path, engine: str, minutes: float | None) -> None:
    """Under mixed batch sizes and bad input; prints the slope after a warm-up of a quarter of the time."""
    seconds = 60 * minutes if minutes else 8
    samples: list[tuple[float, float]] = []
    config = tiny_config(numbering_model, engine=engine, timeout_s=1, **WORKERS)
    with (
        clas_serving(tmp_path, config=config) as running,
        loaded(running, 4, retries=3) as load,
        misbehaviour(running, 4),
    ):
        start = time.monotonic()
        while (passed := time.monotonic() - start) < seconds:
            if passed > seconds / 4:
                memory = running.metric("clas_process_memory_bytes") / 2**20
                samples.append((passed / 60, memory))
            time.sleep(min(1, seconds / 50))
    assert not load.failures
    slope = statistics.linear_regression(*zip(*samples, strict=True)).slope
    first, last = (np.median([memory for _, memory in part]) for part in (samples[:10], samples[-10:]))
    print(f"{load.answered} requests; {first:.1f} MiB, then {last:.1f} MiB: {slope:+.3f} MiB a minute")
    assert last < first + 32
