import asyncio
import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clas.errors import (
    ClasError,
    NotFoundError,
    PredictionError,
    RequestError,
    SlowRequestError,
    TooLargeError,
    UnavailableError,
)
from clas.protocol import MODULE_NAME, PREDICT_PATH, PREDICTIONS_PATH
from clas.serving.batching.admission import Room
from clas.serving.http import middleware
from clas.serving.http.auth import Guard, Tokens
from clas.serving.http.middleware import RequestMiddleware
from clas.serving.http.outbox import Outbox
from clas.serving.log import REQUEST_ID
from clas.serving.metrics import Metrics
from served import Exchanged, assert_refused, exchange, unloaded

VALID = "0123456789abcdef"


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body, and answers with the id under which the request is logged."""
    async for _ in Request(scope, receive).stream():
        pass
    await PlainTextResponse(REQUEST_ID.get())(scope, receive, send)


def failing(exc: Exception) -> ASGIApp:
    """Fails without a look at the body."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise exc

    return app


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def around(app: ASGIApp, metrics: Metrics, tokens: Tokens | None) -> RequestMiddleware:
    outbox = Outbox(Room(1), metrics.unsent)
    return RequestMiddleware(app, unloaded(metrics, MODULE_NAME), metrics, Guard(tokens), outbox)


def client_of(app: ASGIApp, metrics: Metrics, tokens: Tokens | None = None) -> TestClient:
    return TestClient(around(app, metrics, tokens))


def count_of(metrics: Metrics, path: str, status: int, model: str | None = None) -> float:
    """How many requests were counted under a path; those for the model have its name, too."""
    if model is None:
        model = MODULE_NAME if MODULE_NAME in path else ""
    value: float = metrics.requests.labels(path, str(status), model)._value.get()
    return value


@pytest.mark.parametrize("request_id", ["a", "0815", "trace:1.2-3_4", "x" * 64])
def test_a_good_request_id_is_kept(metrics: Metrics, request_id: str) -> None:
    response = client_of(answering, metrics).get("/", headers={"X-Request-ID": request_id})
    assert response.headers["X-Request-ID"] == request_id
    assert response.text == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a b", "a/b", "ä", 'x"y', "\u0663"])
def test_another_is_replaced_by_a_new_one(metrics: Metrics, request_id: str) -> None:
    client = client_of(answering, metrics)
    made = {client.get("/", headers={b"X-Request-ID": request_id.encode()}).text for _ in range(2)}
    made.add(client.get("/").text)
    assert len(made) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", new) for new in made)


def test_the_log_has_one_line_a_prediction_with_its_id(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clas_system")
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{REQUEST_ID.get()}: {record.getMessage()}")

    logger, handler = logging.getLogger("clas_system"), Handler(logging.INFO)
    logger.addHandler(handler)
    try:
        client = client_of(answering, metrics)
        client.post(PREDICT_PATH, content=b"x", headers={"X-Request-ID": "mine"})
        client.get("/health/live")
    finally:
        logger.removeHandler(handler)
    [line] = lines
    assert re.fullmatch(r"mine: POST /predict/clas_system 200 \d+\.\d{3} s", line)


def test_a_request_id_does_not_outlive_its_request(metrics: Metrics) -> None:
    async def ask() -> tuple[str, str]:
        exchanged = await exchange(around(answering, metrics, None), Sender(1).receive)
        return exchanged.headers["X-Request-ID"], REQUEST_ID.get()

    request_id, afterwards = asyncio.run(ask())
    assert len(request_id) == 32
    assert afterwards == "-"


def test_requests_are_counted_by_path_and_status_and_only_predictions_are_timed(metrics: Metrics) -> None:
    client = client_of(answering, metrics)
    paths = [PREDICT_PATH, PREDICT_PATH, "/", "/health/live", "/docs/assets/x.css", "/any/thing"]
    for path in paths:
        client.get(path)
    client_of(failing(RequestError("invalid")), metrics).get(PREDICT_PATH)
    counted = [("/", 200, 1), ("/health/live", 200, 1), ("other", 200, 2)]
    for path, status, count in [(PREDICT_PATH, 200, 2), (PREDICT_PATH, 400, 1), *counted]:
        assert count_of(metrics, path, status) == count
    text = metrics.exposition().decode()
    assert 'clas_request_latency_seconds_count{model="clas_system"} 3.0' in text
    assert 'clas_failed_request_seconds_count{model="clas_system"} 1.0' in text


def test_a_prediction_is_one_in_either_protocol(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clas_system")
    client_of(answering, metrics).post("/v2/models/clas_system/infer")
    client_of(answering, metrics).get("/v2/models/clas_system")
    assert count_of(metrics, "/v2/models/clas_system/infer", 200) == 1
    totals = metrics.totals()[MODULE_NAME]
    assert totals["clas_request_latency_seconds_count"] == 1
    assert abs(totals["clas_last_prediction_timestamp_seconds"] - time.time()) < 60
    [line] = [record.getMessage() for record in caplog.records if record.name == "clas_system"]
    assert line.startswith("POST /v2/models/clas_system/infer 200 ")


def test_requests_for_models_that_there_are_none_of_are_counted_together_and_not_timed(
    metrics: Metrics,
) -> None:
    """Or everybody could add names to the metrics."""
    client = client_of(failing(NotFoundError("there is no model")), metrics)
    for path in (f"{PREDICTIONS_PATH}/rose", f"{PREDICTIONS_PATH}/lily", "/v2/models/rose/infer"):
        assert client.post(path).status_code == 404
    assert count_of(metrics, "other", 404) == 3
    text = metrics.exposition().decode()
    assert "rose" not in text
    assert 'clas_request_latency_seconds_count{model="clas_system"} 0.0' in text


@pytest.mark.parametrize("path", [PREDICT_PATH, "/", "/metrics", "/unknown", "/healthy", "/doc", "//docs"])
@pytest.mark.parametrize("authorization", [None, "", f"Basic {VALID}", f"Bearer {VALID}0", "Bearer ä"])
def test_without_a_valid_token_nothing_is_answered(
    metrics: Metrics, path: str, authorization: str | None
) -> None:
    client = client_of(failing(AssertionError("it was asked")), metrics, Tokens([VALID]))
    headers = {} if authorization is None else {b"Authorization": authorization.encode()}
    refused = client.get(f"http://testserver{path}", headers=headers)
    assert_refused(refused, 401, "a valid token is needed: send the header 'Authorization: Bearer TOKEN'")


def test_with_a_token_or_where_none_is_needed_all_is_answered(metrics: Metrics) -> None:
    client = client_of(answering, metrics, Tokens([VALID]))
    assert client.post(PREDICT_PATH, headers={"Authorization": f"Bearer {VALID}"}).status_code == 200
    for path in (
        *("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"),
        *("/docs", "/docs/assets/x.css", "/openapi.json"),
    ):
        assert client.get(path).status_code == 200
    assert client_of(answering, metrics).get("/").status_code == 200


@pytest.mark.parametrize(
    "error", [RequestError, SlowRequestError, TooLargeError, UnavailableError, PredictionError, ClasError]
)
def test_our_own_errors_become_refusals(metrics: Metrics, error: type[ClasError]) -> None:
    response = client_of(failing(error("what came, and what is wanted")), metrics).post(PREDICT_PATH)
    assert_refused(response, error.http_status, "what came, and what is wanted")
    assert count_of(metrics, PREDICT_PATH, error.http_status) == 1


def test_only_the_models_failures_leave_a_trace_in_the_log(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    client_of(failing(RequestError("invalid")), metrics).post(PREDICT_PATH)
    assert "Traceback" not in caplog.text
    client_of(failing(PredictionError("NaN")), metrics).post(PREDICT_PATH)
    assert "the model failed" in caplog.text
    assert "PredictionError: NaN" in caplog.text


def test_an_unknown_failure_is_told_without_its_reason_which_the_log_has(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    response = client_of(failing(OSError("/etc/secret")), metrics).post(PREDICT_PATH)
    assert_refused(response, 500, "the server failed; its log has the reason, under this request's X-Req")
    assert "secret" not in response.text
    assert "OSError: /etc/secret" in caplog.text


def test_a_failure_in_the_midst_of_an_answer_closes_the_connection(metrics: Metrics) -> None:
    async def begins_only(scope: Scope, receive: Receive, send: Send) -> None:
        def parts() -> Iterator[bytes]:
            yield b"a"
            raise ZeroDivisionError

        await StreamingResponse(parts())(scope, receive, send)

    with pytest.raises(ZeroDivisionError):
        client_of(begins_only, metrics).get("/")
    assert count_of(metrics, "/", 200) == 1


def test_a_failure_between_the_head_of_an_answer_and_its_body_is_told(metrics: Metrics) -> None:
    async def begins_only(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    assert_refused(client_of(begins_only, metrics).get("/"), 500, "the server failed")
    assert count_of(metrics, "/", 500) == 1


def test_a_failure_after_an_answer_is_logged_and_the_answer_stays(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(scope, receive, send)
        raise ZeroDivisionError("as a test")

    response = client_of(fails_late, metrics).get("/", headers={"X-Request-ID": "mine"})
    assert (response.status_code, response.text) == (200, "mine")
    assert "ZeroDivisionError: as a test" in caplog.text


@pytest.mark.parametrize("has_begun", [False, True], ids=["before its answer", "in the midst of it"])
def test_a_request_that_the_end_of_the_server_cuts_off_is_told_so(metrics: Metrics, has_begun: bool) -> None:
    """uvicorn cancels what isn't answered when graceful_timeout_s is over."""
    begun: list[Message] = [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"a", "more_body": True},
    ]

    async def cut_off() -> Exchanged:
        waits = asyncio.Event()

        async def app(_: Scope, __: Receive, send: Send) -> None:
            for message in begun if has_begun else []:
                await send(message)
            waits.set()
            await asyncio.Event().wait()

        asking = asyncio.create_task(exchange(around(app, metrics, None), Sender(1).receive))
        await waits.wait()
        asking.cancel()
        return await asking

    exchanged = asyncio.run(cut_off())
    if has_begun:
        assert [message["type"] for message in exchanged.messages] == [message["type"] for message in begun]
        assert exchanged.text == "a"
    else:
        assert_refused(exchanged, 503, "the server is stopping")
    assert count_of(metrics, PREDICT_PATH, 200 if has_begun else 503) == 1


def test_a_client_that_hangs_up_is_no_failure(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    async def receive(_: Exchanged) -> Message:
        return {"type": "http.disconnect"}

    with caplog.at_level(logging.INFO, "clas_system"):
        exchanged = asyncio.run(exchange(around(answering, metrics, None), receive))
    assert exchanged.messages == []
    assert count_of(metrics, PREDICT_PATH, 499) == 1
    assert [record.getMessage()[:29] for record in caplog.records] == ["POST /predict/clas_system 499"]
    with pytest.raises(ClientDisconnect):  # what it is, without the middleware
        asyncio.run(exchange(answering, receive))


def test_what_is_no_request_is_handed_through(metrics: Metrics) -> None:
    seen: list[str] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        seen.append(scope["type"])

    async def never() -> Any:
        pytest.fail("it was called")

    asyncio.run(around(app, metrics, None)({"type": "lifespan"}, never, never))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


class Sender:
    """A client that sends 100 parts, whatever is answered; notes what was answered to how many parts."""

    def __init__(self, num_parts: int = 100, *, hangs_up_after: int | None = None) -> None:
        self.num_parts = num_parts
        self.hangs_up_after = hangs_up_after
        self.parts = 0
        self.parts_before_answer: int | None = None

    async def receive(self, exchanged: Exchanged) -> Message:
        if exchanged.has_started and self.parts_before_answer is None:
            self.parts_before_answer = self.parts
        if self.parts == self.hangs_up_after:
            return {"type": "http.disconnect"}
        self.parts += 1
        return {"type": "http.request", "body": b"x" * 10, "more_body": self.parts < self.num_parts}


def refuse_after(parts: int) -> ASGIApp:
    async def app(_: Scope, receive: Receive, __: Send) -> None:
        for _number in range(parts):
            await receive()
        raise TooLargeError("too large")

    return app


@pytest.mark.parametrize("header", [("Content-Length", "1000"), ("Transfer-Encoding", "chunked")])
def test_a_client_that_is_still_sending_is_answered_at_once_and_the_rest_thrown_away(
    metrics: Metrics, header: tuple[str, str]
) -> None:
    client = Sender()
    app = around(refuse_after(3), metrics, None)
    exchanged = asyncio.run(exchange(app, client.receive, dict([header])))
    assert_refused(exchanged, 413, "too large")
    assert exchanged.headers["Connection"] == "close"
    assert client.parts_before_answer == 3
    assert client.parts == 100  # its connection isn't reset while it sends
    assert [message.get("more_body") for message in exchanged.messages] == [None, True, False]


def test_a_client_that_hangs_up_after_its_early_answer_is_let_go(metrics: Metrics) -> None:
    client = Sender(hangs_up_after=5)
    app = around(refuse_after(3), metrics, None)
    exchanged = asyncio.run(exchange(app, client.receive, {"Content-Length": "1000"}))
    assert_refused(exchanged, 413, "too large")
    assert client.parts == 5


def test_a_client_that_stalls_after_its_early_answer_is_let_go_after_a_while(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "_LINGER_S", 0.02)

    async def stall(exchanged: Exchanged) -> Message:
        if exchanged.has_started:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"x", "more_body": True}

    app = around(refuse_after(1), metrics, None)
    exchanged = asyncio.run(asyncio.wait_for(exchange(app, stall, {"Content-Length": "1000"}), 10))
    assert_refused(exchanged, 413, "too large")
    assert exchanged.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_a_client_that_drips_after_its_early_answer_is_let_go_after_a_while(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "_LINGER_S", 0.02)

    async def drip(_: Exchanged) -> Message:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b"x", "more_body": True}

    app = around(refuse_after(1), metrics, None)
    exchanged = asyncio.run(asyncio.wait_for(exchange(app, drip, {"Transfer-Encoding": "chunked"}), 10))
    assert_refused(exchanged, 413, "too large")
    assert exchanged.messages[-1]["more_body"] is False


def test_a_client_that_sends_on_for_ever_after_its_early_answer_is_let_go_after_so_many_bytes(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "LINGER_BYTES", 500)
    client = Sender(10**9)
    app = around(refuse_after(3), metrics, None)
    exchanged = asyncio.run(asyncio.wait_for(exchange(app, client.receive, {"Content-Length": "1000"}), 10))
    assert_refused(exchanged, 413, "too large")
    assert 50 < client.parts < 60


@pytest.mark.parametrize("headers", [{"Content-Length": "30"}, {"Content-Length": "0"}, {}])
def test_a_client_that_has_sent_all_keeps_its_connection(metrics: Metrics, headers: dict[str, str]) -> None:
    exchanged = asyncio.run(exchange(around(answering, metrics, None), Sender(3).receive, headers))
    assert "Connection" not in exchanged.headers
    assert len(exchanged.messages) == 2


def test_requests_at_the_same_time_keep_their_ids(metrics: Metrics) -> None:
    async def ask(number: int) -> bool:
        async def slowly(_: Exchanged) -> Message:
            await asyncio.sleep(0.001 * (number % 3))
            return {"type": "http.request", "body": b"", "more_body": False}

        exchanged = await exchange(app, slowly, {"X-Request-ID": f"id-{number}"})
        return exchanged.text == exchanged.headers["X-Request-ID"] == f"id-{number}"

    async def ask_all() -> list[bool]:
        return await asyncio.gather(*map(ask, range(20)))

    app = around(answering, metrics, None)
    assert all(asyncio.run(ask_all()))
