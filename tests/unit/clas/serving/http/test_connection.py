"""uvicorn with this protocol, on real sockets, around a small application."""

import asyncio
import contextlib
import json
import re
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clas.serving.batching.admission import Room
from clas.serving.http.auth import Guard
from clas.serving.http.deadline import BEGAN
from clas.serving.http.middleware import RequestMiddleware
from clas.serving.http.outbox import Outbox
from clas.serving.metrics import Metrics
from clas.serving.options import ServerOptions
from clas.serving.process import server as process
from gates import wait_until
from served import unloaded

LARGE = 20_000_000
"""Bytes of an answer that no buffer of the system takes whole."""


class Application:
    """Answers with as many bytes as the query says, in one message or in parts; may be held.

    Attributes:
        hold: Requests wait for it; set at first.
        waiting: Requests that have been received, and wait.
        ended: How each request went.
        began: When the first byte of the last one came.
    """

    def __init__(self) -> None:
        self.hold = threading.Event()
        self.hold.set()
        self.waiting = 0
        self.ended: list[str] = []
        self.began = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.began = scope.get(BEGAN, 0.0)
        await request.body()
        self.waiting += 1
        try:
            while not self.hold.is_set():
                if await request.is_disconnected():
                    self.ended.append("gone")
                    return
                await asyncio.sleep(0.01)
        finally:
            self.waiting -= 1
        size = int(scope["query_string"] or 0)
        await Response(scope["path"][1:].encode() + bytes(size))(scope, receive, send)
        self.ended.append("answered")


class Server:
    """A running server.

    Attributes:
        app: Its application.
        metrics: Its metrics.
        protocols: Its connections.
        port: Where it listens.
    """

    def __init__(self, port: int, app: Application, metrics: Metrics, protocols: set[Any]) -> None:
        self.app = app
        self.metrics = metrics
        self.protocols = protocols
        self.port = port
        self.tls: ssl.SSLContext | None = None

    def connect(self, *, receive_bytes: int = 0) -> socket.socket:
        client = socket.socket()
        client.settimeout(10)
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.connect(("127.0.0.1", self.port))
        return self.tls.wrap_socket(client) if self.tls else client

    def ask(self, sent: bytes) -> bytes:
        """All that comes until the server closes."""
        with self.connect() as client:
            client.sendall(sent)
            return b"".join(iter(lambda: client.recv(100_000), b""))

    def unsent(self) -> float:
        value: float = self.metrics.unsent._value.get()
        return value


@contextlib.contextmanager
def serving(tls: Path | None = None, **options: Any) -> Iterator[Server]:
    files: dict[str, Any] = (
        {"tls_cert_file": str(tls / "cert.pem"), "tls_key_file": str(tls / "key.pem")} if tls else {}
    )
    app, metrics = Application(), Metrics()
    outbox = Outbox(Room(10**9), metrics.unsent)
    known = process.uvicorn_options(ServerOptions(**files, **options))
    asgi = RequestMiddleware(app, unloaded(metrics), metrics, Guard(), outbox)
    config = uvicorn.Config(asgi, **{**known, "lifespan": "off", "timeout_graceful_shutdown": 1})
    models: Any = SimpleNamespace(has_failed=False)
    server = process.Server(config, models, lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        running = Server(listener.getsockname()[1], app, metrics, server.server_state.connections)
        if tls:
            running.tls = ssl.create_default_context(cafile=str(tls / "cert.pem"))
            running.tls.check_hostname = False
        try:
            yield running
        finally:
            app.hold.set()
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    key, cert = str(directory / "key.pem"), str(directory / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return directory


def get(path: str, headers: str = "", version: str = "1.1") -> bytes:
    return f"GET {path} HTTP/{version}\r\nHost: x\r\n{headers}\r\n".encode()


LARGE_PATH = f"/?{LARGE}"


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    "sent",
    [
        get(LARGE_PATH),
        get(LARGE_PATH, "Connection: close\r\n"),
        get(LARGE_PATH, version="1.0"),
        get(LARGE_PATH) * 3,
    ],
    ids=["keep-alive", "close", "HTTP/1.0", "pipelined"],
)
def test_a_client_that_does_not_take_its_answer_is_disconnected(
    certificate: Path, sent: bytes, is_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "clas_system")
    with (
        serving(certificate if is_tls else None, timeout_s=0.3) as server,
        server.connect(receive_bytes=4096) as client,
    ):
        start = time.monotonic()
        client.sendall(sent)
        wait_until(lambda: server.unsent() >= LARGE)  # it is counted
        wait_until(lambda: not server.protocols)
        assert time.monotonic() - start < 3
        wait_until(lambda: server.unsent() == 0)
        assert "127.0.0.1 didn't take its answer within 0.3 s: disconnected" in caplog.text
        wait_until(lambda: len(server.app.ended) == 1)  # what is pipelined behind it isn't begun
        assert "Traceback" not in caplog.text


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
def test_so_little_of_an_answer_waits_in_the_transport(certificate: Path, is_tls: bool) -> None:
    with (
        serving(certificate if is_tls else None, timeout_s=30) as server,
        server.connect(receive_bytes=4096) as client,
    ):
        client.sendall(get(LARGE_PATH, "Connection: close\r\n"))
        wait_until(lambda: server.unsent() >= LARGE)
        [protocol] = server.protocols
        wait_until(lambda: protocol.flow.write_paused)
        assert 0 < protocol.transport.get_write_buffer_size() < 200_000


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
def test_a_client_that_takes_its_answers_is_not_disconnected(
    certificate: Path, is_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever their size; the time is that of one answer, not of the connection."""
    caplog.set_level("INFO", "clas_system")
    with serving(certificate if is_tls else None, timeout_s=0.3) as server, server.connect() as client:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            client.sendall(get("/?1000000"))
            received = 0
            while received < 1_000_000:
                received += len(client.recv(2_000_000))
    assert "didn't take" not in caplog.text


def test_an_answer_that_is_not_large_is_bounded_in_time_as_well() -> None:
    """It is in the transport whole, where nobody waits for it any more."""
    with serving(timeout_s=0.3) as server, server.connect(receive_bytes=4096) as client:
        client.sendall(get("/?60000") * 300)
        wait_until(lambda: server.app.ended)
        wait_until(lambda: not server.protocols)


def half_closed(server: Server, sent: bytes) -> bytes:
    with server.connect() as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(100_000), b""))


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_client_that_closes_its_side_after_its_request_gets_its_answer(version: str) -> None:
    with serving() as server:
        server.app.hold.clear()
        timer = threading.Timer(0.3, server.app.hold.set)
        timer.start()
        answer = half_closed(server, get("/alone?1000", version=version))
        timer.join()
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(interim) is (version == "1.1")  # told by a client of HTTP/1.1, and skipped
    assert answer.removeprefix(interim).startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nalone" + bytes(1000))


def test_a_client_that_closes_its_side_after_several_requests_gets_all_answers() -> None:
    with serving() as server:
        answers = half_closed(server, get("/one") + get("/two") + get("/three"))
    assert re.findall(rb"(?<=\r\n\r\n)(?:one|two|three)", answers) == [b"one", b"two", b"three"]


def test_a_client_that_goes_away_after_its_request_is_not_waited_for() -> None:
    with serving() as server:
        server.app.hold.clear()
        with server.connect() as client:
            client.sendall(get("/"))
            wait_until(lambda: server.app.waiting == 1)
        wait_until(lambda: server.app.ended == ["gone"])
        wait_until(lambda: not server.protocols)


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"]
)
def test_a_client_that_closes_its_side_too_early_is_let_go(sent: bytes) -> None:
    with serving() as server:
        assert half_closed(server, sent) == b""
        wait_until(lambda: not server.protocols)


def test_the_time_of_a_request_begins_with_its_first_byte() -> None:
    """Not when the connection is made, nor when the head is complete."""
    with serving() as server, server.connect() as client:
        wait_until(lambda: server.protocols)
        [protocol] = server.protocols
        for _ in range(2):
            before = time.monotonic()
            client.sendall(get("/")[:9])
            wait_until(lambda: protocol._began)
            after = time.monotonic()
            client.sendall(get("/")[9:])
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
            assert before <= server.app.began <= after


def seconds_until_closed(client: socket.socket) -> float:
    start = time.monotonic()
    assert client.recv(1000) == b""
    return time.monotonic() - start


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
def test_an_idle_connection_stays_open_for_its_next_request(certificate: Path, is_tls: bool) -> None:
    """As long as it is said, which may be longer than a request may take."""
    with (
        serving(certificate if is_tls else None, timeout_s=0.3, keep_alive_s=1.2) as server,
        server.connect() as client,
    ):
        for pause_s in (0, 0.7, 0.7):
            time.sleep(pause_s)
            client.sendall(get("/"))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        assert 1.0 < seconds_until_closed(client) < 2.5


@pytest.mark.parametrize("keep_alive_s", [0.3, 30])
def test_a_head_that_stays_half_sent_is_given_up_after_timeout_s(keep_alive_s: float) -> None:
    """The first of a connection, and a later one."""
    for before in (b"", get("/")):
        with serving(timeout_s=1.0, keep_alive_s=keep_alive_s) as server, server.connect() as client:
            if before:
                client.sendall(before)
                assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
            client.sendall(get("/")[:9])
            assert 0.8 < seconds_until_closed(client) < 2.3


HEAD = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400, "the request has no Host headers; HTTP/1.1 takes one"),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400, "the request has 2 Host headers"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "the request has 2 Host headers"),
        (f"{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "Transfer-Encoding is gzip, chunked; it"),
        (
            f"{HEAD}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            501,
            "Transfer-Encoding is gzip, chunked; it takes chunked alone",
        ),
        (f"{HEAD}Transfer-Encoding: gzip\r\n\r\n", 400, "Transfer-Encoding is gzip; it takes chunked"),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "Transfer-Encoding is chunked; HTTP/1.0 has none",
        ),
        (f"{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400, "Invalid HTTP request"),
        (f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Invalid HTTP request"),
        (f"{HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "Invalid HTTP request"),
        (f"{HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "Invalid HTTP request"),
        (f"{HEAD}Transfer-Encoding : chunked\r\n\r\n", 400, "Invalid HTTP request"),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "Invalid HTTP request"),
    ],
)
def test_an_unclear_head_or_body_is_refused_once(sent: str, status: int, message: str) -> None:
    """As RFC 9112 has it, so that no proxy and this server see different requests."""
    with serving() as server:
        answer = server.ask(sent.encode() + b"5\r\nhello\r\n0\r\n\r\n" + get("/smuggled"))
    assert answer.count(b'"results"') == 1
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (told["status"], told["results"]) == ("101", "")
    assert told["msg"].startswith(message)


@pytest.mark.parametrize(
    "sent", ["GET / HTTP/1.0\r\n\r\n", f"{HEAD}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"]
)
def test_a_clear_one_is_answered(sent: str) -> None:
    with serving() as server:
        assert server.ask(sent.encode()).startswith(b"HTTP/1.1 200 OK\r\n")


def test_what_is_invalid_is_refused_after_the_requests_before_it_are_answered() -> None:
    with serving() as server:
        server.app.hold.clear()
        with server.connect() as client:
            client.sendall(get("/first") + b"nonsense\r\n\r\n")
            wait_until(lambda: server.app.waiting == 1)
            assert not select.select([client], [], [], 0.05)[0]
            server.app.hold.set()
            answers = b"".join(iter(lambda: client.recv(100_000), b""))
    first, _, second = answers.partition(b"first")
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert second.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_request_that_becomes_invalid_in_its_body_is_not_answered_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving() as server:
        answer = server.ask(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"], ids=["nothing", "half of a hello"])
def test_a_client_that_does_not_finish_its_tls_handshake_is_let_go(certificate: Path, sent: bytes) -> None:
    with serving(certificate, timeout_s=0.3) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(sent)
            start = time.monotonic()
            assert client.recv(1000) == b""
            assert time.monotonic() - start < 3
        answer = server.ask(get("/", "Connection: close\r\n"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
