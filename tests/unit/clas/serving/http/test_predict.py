import asyncio
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.types import Message

from clas.engine.devices import available_cores
from clas.errors import PredictionError, UnavailableError
from clas.image.model_input import ModelInput
from clas.protocol import MODULE_NAME, PREDICT_PATH
from clas.serving.http.deadline import BEGAN
from clas.serving.http.request_body import Inputs, read_inputs
from clas.serving.options import ServerOptions
from gates import Gate, wait_until
from served import SIDE, Exchanged, Served, assert_refused, best, encoded, exchange, image_file, served
from tiny_models import numbered_batch, solid_batch
from wire import encode

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def service(tiny_model: Path) -> Iterator[Served]:
    with served(tiny_model) as running:
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as executor:
        yield executor


def files(*data: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (f"{number}.png", item)) for number, item in enumerate(data)]


def entries(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    prediction: list[dict[str, Any]] = response.json()["results"]["prediction"]
    return prediction


def timing_of(response: Any) -> dict[str, float]:
    """Milliseconds by name, from the header Server-Timing."""
    pairs = [entry.split(";dur=") for entry in response.headers["Server-Timing"].split(", ")]
    return {name: float(duration) for name, duration in pairs}


# The forms of a request


@pytest.mark.parametrize(
    "request_",
    [
        {"json": encode(solid_batch(2, 0, 1))},
        {"json": encode(solid_batch(2, 0, 1).astype("float64"))},
        {"json": encoded(2, 0, 1)},
        {"files": files(image_file(2), image_file(0, ending=".jpg"), image_file(1, ending=".bmp"))},
    ],
    ids=["tensor", "float64 tensor", "encoded images", "multipart"],
)
def test_results_keep_the_order_of_the_request(service: Served, request_: dict[str, Any]) -> None:
    assert best(service.post(**request_)) == [2, 0, 1]


@pytest.mark.parametrize(
    ("ending", "content_type"),
    [
        (".jpg", "image/jpeg"),
        (".png", "image/png"),
        (".bmp", "image/bmp"),
        (".webp", "image/webp"),
        (".png", "application/octet-stream"),
        (".png", "image/anything"),
    ],
)
def test_a_raw_body_is_classified(service: Served, ending: str, content_type: str) -> None:
    content = image_file(1, ending=ending)
    assert best(service.post(content=content, headers={"Content-Type": content_type})) == [1]


def test_the_answer_to_a_tensor_is_that_of_the_models(service: Served) -> None:
    [entry] = entries(service.post(json={**encode(solid_batch(1)), "top_k": 6}))
    assert entry["class_ids"] == [1, 0, 2, 3, 4, 5]
    exact = np.exp([10, 0, 0, 0, 0, 0]) / np.exp([10, 0, 0, 0, 0, 0]).sum()
    assert entry["scores"] == pytest.approx(exact, abs=1e-5)
    assert entry["label_names"] == []


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"images": ["AAAA", *encoded(2)["images"], 5, *encoded(0)["images"]]}},
        {"files": files(b"no image", image_file(2), b"", image_file(0))},
    ],
    ids=["encoded images", "multipart"],
)
def test_one_bad_image_does_not_fail_the_others(service: Served, request_: dict[str, Any]) -> None:
    found = entries(service.post(**request_))
    assert [entry["class_ids"][:1] for entry in found] == [[], [2], [], [0]]
    assert ["error" in entry for entry in found] == [True, False, True, False]


def test_only_bad_images_are_answered_without_the_model(service: Served) -> None:
    computed = len(service.runner.sizes)
    found = entries(service.post(json={"images": ["AAAA", "BBBB"]}))
    assert [entry["scores"] for entry in found] == [[], []]
    assert len(service.runner.sizes) == computed


def test_a_raw_image_that_is_bad_fails_its_request(service: Served) -> None:
    assert_refused(service.post(content=b"no image", headers=JPEG), 400, "the image can't be decoded: it is")
    assert_refused(service.post(content=b"", headers=JPEG), 400, "the body is empty")


# top_k


@pytest.mark.parametrize(
    ("request_", "count"),
    [
        ({"json": encoded(1)}, 5),
        ({"json": encoded(1), "params": {"top_k": "2"}}, 2),
        ({"json": {**encoded(1), "top_k": 3}}, 3),
        ({"json": {**encoded(1), "top_k": 3}, "params": {"top_k": "2"}}, 3),
        ({"json": {**encode(solid_batch(1)), "top_k": 6}}, 6),
        ({"files": files(image_file(1)), "data": {"top_k": "1"}}, 1),
        ({"files": files(image_file(1)), "params": {"top_k": "4"}}, 4),
        ({"content": image_file(1), "headers": JPEG, "params": {"top_k": "2"}}, 2),
    ],
)
def test_top_k_is_asked_for_in_the_address_or_the_body(
    service: Served, request_: dict[str, Any], count: int
) -> None:
    [entry] = entries(service.post(**request_))
    assert len(entry["class_ids"]) == len(entry["scores"]) == count


def deep(levels: int) -> bytes:
    return b'{"images": ["AAAA"], "top_k": ' + b"[" * levels + b"]" * levels + b"}"


# Python 3.12 and later let msgspec go deeper.
DEEP = "the body is not JSON: " if sys.version_info < (3, 12) else "top_k is [[["


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"json": {**encoded(1), "top_k": 0}}, "top_k is 0; it takes a whole number from 1 to 6"),
        ({"json": {**encoded(1), "top_k": 7}}, "top_k is 7; it takes a whole number from 1 to 6"),
        ({"json": {**encoded(1), "top_k": True}}, "top_k is True; it takes"),
        ({"json": {**encoded(1), "top_k": "3"}}, "top_k is '3'; it takes"),
        ({"json": {**encoded(1), "top_k": 2.0}}, "top_k is 2.0; it takes"),
        ({"json": {**encoded(1), "top_k": 10**30}}, "top_k is 1000000000000000000000000000000; it takes"),
        ({"json": {**encoded(1), "top_k": "x" * 10**5}}, "top_k has 100002 bytes; it takes up to 10000"),
        ({"content": deep(1000), "headers": {"Content-Type": "application/json"}}, DEEP),
        ({"json": {**encode(solid_batch(1)), "top_k": -1}}, "top_k is -1; it takes"),
        ({"json": encoded(1), "params": {"top_k": "0"}}, "top_k is 0; it takes"),
        ({"json": encoded(1), "params": {"top_k": "x"}}, "top_k is 'x'; it takes"),
        ({"json": encoded(1), "params": {"top_k": ""}}, "top_k is ''; it takes"),
        ({"json": encoded(1), "params": {"top_k": ["1", "1"]}}, "top_k is in the address twice"),
        ({"json": encoded(1), "params": {"topk": "1"}}, "unknown query parameter 'topk'; the address takes"),
        ({"json": {**encoded(1), "topk": 1}}, "unknown field 'topk'; a request has images, revert_params"),
        ({"files": files(image_file(1)), "data": {"top_k": "9"}}, "top_k is 9; it takes"),
        ({"files": files(image_file(1)), "data": {"top_k": ["1", "2"]}}, "top_k is in the form twice"),
        ({"content": image_file(1), "headers": JPEG, "params": {"top_k": "7"}}, "top_k is 7; it takes"),
    ],
)
def test_an_invalid_top_k_is_refused(service: Served, request_: dict[str, Any], message: str) -> None:
    response = service.post(**request_)
    assert_refused(response, 400, message)
    assert len(response.json()["msg"]) < 200


# Refusals


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"json": {}}, 400, "images is missing; it takes"),
        ({"json": [1]}, 400, "the body is JSON, but not an object"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "the body is not JSON: "),
        (
            {"json": encode(solid_batch(0, side=24))},
            400,
            "revert_params.shape is [1, 3, 24, 24]; the model takes",
        ),
        ({"json": encode(np.full((1, 3, 32, 32), np.nan))}, 400, "images holds NaN or infinity"),
        ({"json": {"images": "AAAA"}}, 400, "revert_params is missing"),
        ({"files": [("image", image_file(0))]}, 400, "unknown field 'image'"),
        ({"data": {"images": "x"}}, 415, "Content-Type is application/x-www-form-urlencoded; send"),
        ({"content": b"x"}, 415, "Content-Type is missing; send application/json"),
        ({"json": encoded(0), "headers": {"Content-Encoding": "gzip"}}, 415, "Content-Encoding is gzip"),
    ],
)
def test_what_is_invalid_is_refused_and_the_next_request_answered(
    service: Served, request_: dict[str, Any], code: int, message: str
) -> None:
    assert_refused(service.post(**request_), code, message)
    assert best(service.post(json=encoded(1))) == [1]
    assert service.queued_images() == 0


def test_a_model_that_fails_on_a_request_is_an_error_of_the_server(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        service.runner.fault = PredictionError("the model's scores for this batch hold NaN or infinity")
        assert_refused(service.post(json=encoded(0)), 500, "the model's scores for this batch hold NaN")
        service.runner.fault = RuntimeError("/usr/lib/secret.so")
        refused = service.post(json=encoded(0))
        assert_refused(refused, 500, "the server failed; its log has the reason")
        assert "secret" not in refused.text
        service.runner.fault = UnavailableError("the model's process has died")
        assert_refused(service.post(json=encoded(0)), 503, "the model's process has died")
        service.runner.fault = None
        assert best(service.post(json=encoded(0))) == [0]


class Sender:
    """A client that sends 100 parts of 100 bytes, whatever is answered, and hangs up then."""

    def __init__(self) -> None:
        self.parts = 0
        self.parts_before_answer: int | None = None

    async def receive(self, exchanged: Exchanged) -> Message:
        if exchanged.has_started and self.parts_before_answer is None:
            self.parts_before_answer = self.parts
        if self.parts == 100:
            return {"type": "http.disconnect"}
        self.parts += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": self.parts < 100}


@pytest.mark.parametrize(
    ("header", "parts", "size"),
    [(("Content-Length", "10000"), 0, 10_000), (("Transfer-Encoding", "chunked"), 11, 1100)],
    ids=["with length", "without length"],
)
def test_a_body_that_is_too_large_is_refused_before_it_has_come(
    tiny_model: Path, header: tuple[str, str], parts: int, size: int
) -> None:
    client = Sender()
    with served(tiny_model, max_request_bytes=1000) as service:
        refused = asyncio.run(exchange(service.app, client.receive, {**JPEG, **dict([header])}))
        assert_refused(refused, 413, f"the body has {size} bytes or more; max_request_bytes is 1000")
        assert client.parts_before_answer == parts
        assert service.queued_images() == 0
        assert_refused(service.post(content=b"x" * 1000, headers=JPEG), 400, "the image can't be decoded")


def test_a_body_in_pieces_is_put_together(service: Served) -> None:
    content = image_file(2)
    pieces = [content[:10], b"", content[10:50], content[50:]]

    async def receive(_: Exchanged) -> Message:
        if not pieces:
            await asyncio.Event().wait()  # the client waits for its answer
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    assert best(asyncio.run(exchange(service.app, receive, JPEG))) == [2]
    assert service.queued_images() == 0


def test_more_images_than_the_queue_ever_takes_are_too_large(tiny_model: Path) -> None:
    with served(tiny_model, max_queue_images=2) as service:
        for request in ({"json": encoded(0, 1, 2)}, {"json": encode(solid_batch(0, 1, 2))}):
            assert_refused(service.post(**request), 413, "the request has 3 images; max_queue_images is 2")
        response = service.post(files=files(*[image_file(0)] * 3))
        assert_refused(response, 413, "the form has more than 2 images; send smaller batches")
        assert best(service.post(json=encoded(0, 1))) == [0, 1]


def test_a_tensor_becomes_float32_only_when_there_is_room_for_it(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[int] = []
    finish = ModelInput._finish

    def noted(self: ModelInput, batch: Any, operations: Any) -> Any:
        finished.append(len(batch))
        return finish(self, batch, operations)

    monkeypatch.setattr(ModelInput, "_finish", noted)
    pixels = np.zeros((3, 3, SIDE, SIDE), np.uint8)
    with served(tiny_model, max_queue_images=2) as service:
        too_many = service.post(json=encode(pixels))
        assert_refused(too_many, 413, "the request has 3 images; max_queue_images is 2")
        assert finished == []
        assert service.post(json=encode(pixels[:2])).status_code == 200
        assert finished == [2]


# Time


def test_a_body_that_does_not_come_in_time_is_refused(tiny_model: Path) -> None:
    async def stall(exchanged: Exchanged) -> Message:
        if exchanged.has_started:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    with served(tiny_model, timeout_s=0.1) as service:
        refused = asyncio.run(exchange(service.app, stall, {**JPEG, "Content-Length": "100"}))
        assert_refused(refused, 408, "the body didn't come within 0.1 s (timeout_s)")
        assert service.queued_images() == 0


def test_the_time_of_a_request_includes_that_of_its_head(service: Served) -> None:
    async def never(_: Exchanged) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    long_ago: dict[str, Any] = {BEGAN: time.monotonic() - ServerOptions().timeout_s}
    refused = asyncio.run(exchange(service.app, never, {"Content-Type": "application/json"}, **long_ago))
    assert_refused(refused, 408, "the body didn't come within 30 s (timeout_s)")


def test_a_request_whose_time_is_over_is_refused_and_never_computed(tiny_model: Path) -> None:
    with served(tiny_model, timeout_s=0.2) as service:
        predictor = service.runner
        with predictor.gate.closed():
            first = service.pool.submit(solid_batch(0), time.monotonic() + 10)
            predictor.gate.wait_for_arrival()
            refused = service.post(json=encoded(0, 1, 2))
            assert_refused(refused, 503, "there was no time for this request within 0.2 s")
            assert service.queued_images() == 0
        first.scores.result(10)
        service.pool.submit(solid_batch(0, 1), time.monotonic() + 10).scores.result(10)
        assert predictor.sizes == [1, 2]


class HeldReading:
    """Reads requests as the server does, when a test lets it; notes them."""

    def __init__(self) -> None:
        self.before, self.after = Gate(), Gate()
        self.bodies: list[bytes] = []

    def __call__(self, content_type: str, body: bytes, top_k: object, max_images: int) -> Inputs:
        self.bodies.append(body)
        self.before.enter()
        try:
            return read_inputs(content_type, body, top_k, max_images)
        finally:
            self.after.enter()


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> HeldReading:
    held = HeldReading()
    monkeypatch.setattr("clas.serving.http.predict.read_inputs", held)
    return held


def test_no_more_requests_are_decoded_at_once_than_there_are_cores(
    tiny_model: Path, pool: ThreadPoolExecutor, reading: HeldReading
) -> None:
    with served(tiny_model, timeout_s=0.3) as service:
        with reading.before.closed():
            waiting = [pool.submit(service.post, content=image_file(0), headers=JPEG) for _ in range(12)]
            for future in waiting:
                assert_refused(future.result(), 503, "there was no time for this request within 0.3 s")
        assert best(service.post(content=image_file(0), headers=JPEG)) == [0]
        assert 1 < len(reading.bodies) <= available_cores() + 1  # those that still waited were dropped


class LateThreads:
    """The clock, but an hour ahead for threads that decode: they come to their work too late."""

    perf_counter = staticmethod(time.perf_counter)

    @staticmethod
    def monotonic() -> float:
        return time.monotonic() + 3600 * threading.current_thread().name.startswith("decoder")


def test_a_request_whose_time_is_over_when_it_comes_to_a_thread_is_not_decoded(
    tiny_model: Path, reading: HeldReading, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tiny_model) as service:
        monkeypatch.setattr("clas.serving.http.inference.time", LateThreads)
        refused = service.post(content=image_file(0), headers=JPEG)
        assert_refused(refused, 503, "there was no time for this request within 30 s")
        assert reading.bodies == []
        assert service.runner.sizes == []


# Clients that go


class Leaver:
    """A client that sends its whole request, and hangs up when it is told to."""

    def __init__(self, content: bytes) -> None:
        self.content = [content, b""]  # uvicorn may say twice that there is no more to come
        self.leaves = threading.Event()

    async def receive(self, _: Exchanged) -> Message:
        if self.content:
            return {"type": "http.request", "body": self.content.pop(0), "more_body": False}
        while not self.leaves.is_set():  # noqa: ASYNC110  # the event is another thread's
            await asyncio.sleep(0.002)
        return {"type": "http.disconnect"}

    def ask(self, service: Served) -> Exchanged:
        return asyncio.run(exchange(service.app, self.receive, JPEG))


def test_a_client_that_hangs_up_while_it_waits_is_not_computed(
    tiny_model: Path, pool: ThreadPoolExecutor
) -> None:
    with served(tiny_model) as service:
        client = Leaver(image_file(0))
        with service.runner.gate.closed():
            first = pool.submit(service.post, json=encoded(1, 2))
            service.runner.gate.wait_for_arrival()
            leaving = pool.submit(client.ask, service)
            wait_until(lambda: service.queued_images() == 3)
            wait_until(lambda: len(service.pool._batcher._queue) == 1)
            client.leaves.set()
            assert leaving.result().messages == []
            assert service.queued_images() == 2
        assert best(first.result()) == [1, 2]
        assert best(service.post(json=encoded(0, 1, 2))) == [0, 1, 2]
        assert service.runner.sizes == [2, 3]
        metrics = service.client.get("/metrics").text
        labels = f'model="{MODULE_NAME}",path="{PREDICT_PATH}",status="499"'
        assert f"clas_requests_total{{{labels}}} 1.0" in metrics


def test_a_client_that_hangs_up_while_its_images_are_decoded_leaves_nothing_behind(
    tiny_model: Path, pool: ThreadPoolExecutor, reading: HeldReading
) -> None:
    """The thread that decodes goes on for a while; what it takes up then, nobody would give back."""
    with served(tiny_model, max_queue_images=2) as service:
        for _ in range(3):
            client = Leaver(image_file(0))
            with reading.after.closed():
                with reading.before.closed():
                    leaving = pool.submit(client.ask, service)
                    reading.before.wait_for_arrival()
                    client.leaves.set()
                    assert leaving.result().messages == []
                reading.after.wait_for_arrival()
        assert best(service.post(json=encoded(0, 1))) == [0, 1]
        wait_until(lambda: service.queued_images() == 0)
        assert service.runner.sizes == [2]


def test_a_client_that_hangs_up_in_the_midst_of_its_body_is_forgotten(service: Served) -> None:
    sent = [b"x" * 10]

    async def receive(_: Exchanged) -> Message:
        if sent:
            return {"type": "http.request", "body": sent.pop(), "more_body": True}
        return {"type": "http.disconnect"}

    assert asyncio.run(exchange(service.app, receive, {**JPEG, "Content-Length": "100"})).messages == []
    assert service.queued_images() == 0


# Many at once


def hold_full(service: Served, pool: ThreadPoolExecutor, *requests: dict[str, Any]) -> list[Future[Any]]:
    """Have requests wait for a model whose gate is closed."""
    waiting = [pool.submit(service.post, **request) for request in requests]
    wait_until(lambda: service.queued_images() == len(requests))
    return waiting


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_queue_images": 2}, "the queue is full: 2 of 2 images"),
        ({"max_queue_bytes": 40_000, "max_request_bytes": 20_000}, "the queue is full: 3"),
    ],
    ids=["images", "bytes"],
)
def test_a_full_queue_refuses_and_takes_requests_again_afterwards(
    tiny_model: Path, pool: ThreadPoolExecutor, options: dict[str, Any], message: str
) -> None:
    request = {"json": encode(solid_batch(1))}  # of some 16,500 bytes
    with served(tiny_model, **options) as service:
        with service.runner.gate.closed():
            waiting = hold_full(service, pool, request, request)
            assert_refused(service.post(**request), 503, message)
            assert service.client.get("/health/live").status_code == 200
        assert [best(future.result()) for future in waiting] == [[1], [1]]
        assert best(service.post(**request)) == [1]
        assert service.queued_images() == 0


def test_a_body_without_length_counts_as_it_comes(tiny_model: Path, pool: ThreadPoolExecutor) -> None:
    client = Sender()
    with served(tiny_model, max_queue_bytes=20_000, max_request_bytes=20_000) as service:
        with service.runner.gate.closed():
            [waiting] = hold_full(service, pool, {"json": encode(solid_batch(1))})
            headers = {**JPEG, "Transfer-Encoding": "chunked"}
            refused = asyncio.run(exchange(service.app, client.receive, headers))
            assert_refused(refused, 503, "the queue is full: 1")
            assert client.parts_before_answer is not None
            assert client.parts_before_answer < 50
        assert best(waiting.result()) == [1]


def test_requests_that_wait_go_through_the_model_together_and_get_their_own_answers(
    tiny_model: Path, pool: ThreadPoolExecutor
) -> None:
    with served(tiny_model) as service:
        with service.runner.gate.closed():
            waiting = [pool.submit(service.post, json=encoded(0))]
            service.runner.gate.wait_for_arrival()
            requests: list[dict[str, Any]] = [
                {"content": image_file(2), "headers": JPEG},
                {"json": encoded(0, 1)},
                {"json": encode(solid_batch(1))},
            ]
            waiting += [pool.submit(service.post, **request) for request in requests]
            wait_until(lambda: sum(len(piece.tensor) for piece in list(service.pool._batcher._queue)) == 4)
        assert [best(future.result()) for future in waiting] == [[0], [2], [0, 1], [1]]
        assert service.runner.sizes == [1, 4]


def test_every_answer_belongs_to_its_images(numbering_model: Path, pool: ThreadPoolExecutor) -> None:
    with served(numbering_model, settings={"max_batch_size": 4, "topk": 1}) as service:

        def ask(seed: int) -> int:
            chance = random.Random(seed)  # noqa: S311
            for _ in range(8):
                numbers = [chance.randrange(1000) for _ in range(chance.randint(1, 9))]
                assert best(service.post(json=encode(numbered_batch(*numbers)))) == numbers
            return 8

        assert sum(pool.map(ask, range(12))) == 96
        assert max(service.runner.sizes) == 4
        assert service.queued_images() == 0


# Where the time goes


def test_an_answer_tells_where_its_time_went(service: Served) -> None:
    response = service.post(json=encoded(0))
    timing = timing_of(response)
    assert list(timing) == ["prepare", "queue", "predict"]
    elapse_ms = response.json()["results"]["elapse"] * 1000
    assert timing["prepare"] + timing["predict"] == pytest.approx(elapse_ms, abs=0.11)
    broken = service.post(json={"images": ["AAAA"]})
    assert list(timing_of(broken)) == ["prepare"]


def test_waiting_counts_as_time_in_the_queue(tiny_model: Path, pool: ThreadPoolExecutor) -> None:
    with served(tiny_model) as service, service.runner.gate.closed() as gate:
        first = pool.submit(service.post, json=encoded(0))
        gate.wait_for_arrival()
        begun = time.monotonic()
        second = pool.submit(service.post, json=encoded(1))
        wait_until(lambda: service.pool._batcher._queue)
        wait_until(lambda: time.monotonic() > begun + 0.05)
        queued = service.pool._batcher._queue[0].job
        waited_ms = queued.waited_s * 1000
        gate.open()
        assert timing_of(second.result(10))["queue"] >= waited_ms - 0.1
        assert timing_of(first.result(10))["queue"] < waited_ms
