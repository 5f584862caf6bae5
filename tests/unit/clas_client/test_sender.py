import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest

from clas_client.batches import in_batches, stacked_body
from clas_client.reply import ServiceError
from clas_client.sender import Answer, Sender
from scripted_service import Reply, envelope, predictions, scripted_service

IMAGE = np.zeros((3, 4, 4), np.float32)
ENTRY: dict[str, Any] = {"class_ids": [1], "scores": [0.5], "label_names": ["one"]}
INVALID_RESULTS: list[Any] = [
    {"prediction": [{}], "elapse": 1},
    {"prediction": ["text"], "elapse": 1},
    {"prediction": [{**ENTRY, "scores": ["x"]}], "elapse": 1},
    {"prediction": [{**ENTRY, "scores": [None]}], "elapse": 1},
    {"prediction": [{**ENTRY, "class_ids": ["x"]}], "elapse": 1},
    {"prediction": [{**ENTRY, "label_names": [5]}], "elapse": 1},
    {"prediction": [ENTRY], "elapse": True},
]


def answer_late(_: object) -> Reply:
    time.sleep(0.5)
    return Reply(envelope(predictions(1)))


def predict(url: str, images: int = 1, timeout_s: float = 10, retries: int = 0) -> Answer:
    with closing(Sender(url, timeout_s, retries)) as sender:
        return sender.predict([IMAGE] * images, stacked_body)


@contextmanager
def nobody_listening() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/predict/clas_system"


def test_batches_keep_the_order_and_the_last_incomplete_one() -> None:
    items = [(str(number), IMAGE + number) for number in range(5)]
    batches = [(names, [image[0, 0, 0] for image in images]) for names, images in in_batches(items, 2)]
    assert batches == [(["0", "1"], [0, 1]), (["2", "3"], [2, 3]), (["4"], [4])]
    assert list(in_batches([], 2)) == []


def test_exactly_the_two_fields_of_the_original_are_sent() -> None:
    with scripted_service() as service:
        predict(service.url, images=2)
        assert [sorted(request) for request in service.requests] == [["images", "revert_params"]]
        assert service.tensors()[0].shape == (2, 3, 4, 4)


def test_an_answer_has_its_predictions_and_both_times() -> None:
    with scripted_service() as service:
        answer = predict(service.url, images=2)
    assert answer.predictions == predictions(2)["prediction"]
    assert answer.elapse_s == 0.5
    assert 0 < answer.latency_s < 10


def test_one_connection_serves_all_batches() -> None:
    with scripted_service() as service, closing(Sender(service.url, 10, 0)) as sender:
        for _ in range(3):
            sender.predict([IMAGE], stacked_body)
        assert len(service.connections) == 1


@pytest.mark.parametrize("refusal", [Reply(envelope(), 503), Reply(envelope(), 429), None])
def test_a_busy_or_lost_server_is_asked_again(refusal: Reply | None) -> None:
    replies = [refusal, refusal]
    with scripted_service(lambda _: replies.pop() if replies else Reply(envelope(predictions(1)))) as service:
        assert predict(service.url, retries=2).elapse_s == 0.5
        assert len(service.requests) == 3


def test_retry_after_is_heeded() -> None:
    replies = [Reply(envelope(), 503, headers=(("Retry-After", "1"),))]
    with scripted_service(lambda _: replies.pop() if replies else Reply(envelope(predictions(1)))) as service:
        start = time.monotonic()
        predict(service.url, retries=1)
        assert time.monotonic() - start >= 1


def test_a_server_that_stays_busy_is_reported_with_its_reason() -> None:
    with scripted_service(lambda _: Reply(envelope(status="101", msg="the queue is full"), 503)) as service:
        with pytest.raises(ServiceError, match=r"refused \(status 101\): the queue is full"):
            predict(service.url, retries=1)
        assert len(service.requests) == 2


def test_a_server_that_is_not_there_is_one_clear_line() -> None:
    with nobody_listening() as url, pytest.raises(ServiceError) as caught:
        predict(url)
    reason = "Failed to establish a new connection: [Errno 111] Connection refused"
    assert str(caught.value) == f"{url} can't be reached: {reason}"


def test_a_late_answer_is_waited_for_once() -> None:
    """The server is still at work on it: to ask again would only add to that."""
    with scripted_service(answer_late) as service:
        with pytest.raises(ServiceError, match=r"didn't answer within 0\.2 s"):
            predict(service.url, timeout_s=0.2, retries=3)
        assert len(service.requests) == 1


def test_the_waits_between_tries_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("clas_client.transport.time.sleep", waits.append)
    with scripted_service(lambda _: Reply(envelope(), 503)) as service, pytest.raises(ServiceError):
        predict(service.url, retries=4)
    assert waits == [0, 1, 2, 4]


def test_retry_after_is_heeded_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("clas_client.transport.time.sleep", waits.append)
    late = Reply(envelope(), 503, headers=(("Retry-After", "100000"),))
    with scripted_service(lambda _: late) as service, pytest.raises(ServiceError):
        predict(service.url, retries=1)
    assert waits == [60]


@pytest.mark.parametrize("header", ["soon", "-5", "9" * 400, "Fri, 31 Dec 9999 23:59:60 GMT"])
def test_a_malformed_retry_after_counts_for_nothing(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("clas_client.transport.time.sleep", waits.append)
    odd = Reply(envelope(status="101", msg="full"), 503, headers=(("Retry-After", header),))
    with (
        scripted_service(lambda _: odd) as service,
        pytest.raises(ServiceError, match=r"refused \(status 101\): full$"),
    ):
        predict(service.url, retries=1)
    assert all(0 <= wait <= 60 for wait in waits)


def test_an_answer_that_breaks_off_is_one_clear_line() -> None:
    odd = Reply(b"this is not compressed", headers=(("Content-Encoding", "gzip"),))
    with (
        scripted_service(lambda _: odd) as service,
        pytest.raises(ServiceError, match=r"sent an incomplete or damaged answer: .+"),
    ):
        predict(service.url)


def test_an_address_that_is_none_is_one_clear_line() -> None:
    with pytest.raises(ServiceError, match="can't be reached: "):
        predict(f"http://{'a' * 70}.com/")


def test_an_unknown_host_is_one_clear_line() -> None:
    with pytest.raises(ServiceError, match=r"^http://nowhere\.invalid/ can't be reached: .{5,80}$"):
        predict("http://nowhere.invalid/")


def test_a_server_that_hangs_up_is_one_clear_line() -> None:
    with (
        scripted_service(lambda _: None) as service,
        pytest.raises(ServiceError, match=r"can't be reached: .*Remote end closed connection"),
    ):
        predict(service.url)


def test_a_server_that_is_too_slow_is_one_clear_line() -> None:
    with (
        scripted_service(answer_late) as service,
        pytest.raises(ServiceError, match=r"didn't answer within 0\.1 s$"),
    ):
        predict(service.url, timeout_s=0.1)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(envelope(status="101", msg="top_k is 0")), "the server refused (status 101): top_k is 0"),
        (
            Reply(b"<h1>Bad Request</h1>", 400, "text/html"),
            "the server answered HTTP 400 (text/html), not JSON",
        ),
        (Reply([1]), "the server answered HTTP 200 without status, msg and results: [1]"),
        (
            Reply({"detail": "Not Found"}, 404),
            'HTTP 404 without status, msg and results: {"detail": "Not Found"}',
        ),
        (Reply(envelope("x")), "the server's answer has no valid prediction and elapse"),
        (Reply(envelope({"prediction": []})), "the server's answer has no valid prediction and elapse"),
        (Reply(envelope(predictions(2))), "the server returned 2 results for 1 images"),
        *((Reply(envelope(invalid)), "has no valid prediction and elapse") for invalid in INVALID_RESULTS),
        (Reply(envelope(predictions(1)), 500), "answered HTTP 500, but with the status of a success"),
        (Reply(b"[" * 100_000), "the server answered HTTP 200 (application/json), not JSON"),
        (Reply(b"9" * 5000), "the server answered HTTP 200 (application/json), not JSON"),
        (
            Reply(envelope(status="101", msg="two\nlines, \x1b[31m red")),
            "the server refused (status 101): two lines, [31m red",
        ),
        (Reply(b"", 302, headers=(("Location", "http://127.0.0.1:1/"),)), "HTTP 302"),
        # PaddleHub's own GPU mode: what the module gave is in msg, under an outer "000".
        (
            Reply(envelope(msg=envelope(status="101", msg="use_gpu came"))),
            "refused (status 101): use_gpu came",
        ),
        (Reply(envelope(msg={"x": 1})), "without status, msg and results"),
    ],
)
def test_what_is_no_answer_is_one_clear_line(reply: Reply, message: str) -> None:
    with scripted_service(lambda _: reply) as service, pytest.raises(ServiceError) as caught:
        predict(service.url)
    assert message in str(caught.value)
    assert not re.search(r"\n", str(caught.value))


def test_results_within_msg_are_found() -> None:
    """PaddleHub's own GPU mode hands a success back there, too."""
    with scripted_service(lambda _: Reply(envelope(msg=predictions(1)))) as service:
        assert predict(service.url).predictions == predictions(1)["prediction"]


def test_images_of_different_shapes_are_refused_before_sending() -> None:
    with scripted_service() as service, closing(Sender(service.url, 10, 0)) as sender:
        with pytest.raises(
            ServiceError, match=r"must have the same shape; they have \[\(3, 4, 4\), \(3, 5, 5\)\]"
        ):
            sender.predict([IMAGE, np.zeros((3, 5, 5), np.float32)], stacked_body)
        assert service.requests == []


def test_uint8_goes_as_it_is() -> None:
    with scripted_service() as service, closing(Sender(service.url, 10, 0)) as sender:
        images: Any = [np.full((2, 2, 3), 200, np.uint8)]
        sender.predict(images, stacked_body)
        assert service.requests[0]["revert_params"] == {"shape": [1, 2, 2, 3], "dtype": "uint8"}
