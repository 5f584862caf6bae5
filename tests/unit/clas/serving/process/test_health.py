import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from socket import AF_INET6

import pytest

from addresses import needs_ipv6
from clas.serving.process import health
from clas.serving.process.health import health_of
from clas.serving.process.pidfile import RunningServer, start_of
from server_process import free_port

REFUSAL = '{"status": "101", "msg": "the model is being loaded", "results": ""}'
Answers = dict[str, tuple[int, str]]


class OnIPv6(ThreadingHTTPServer):
    address_family = AF_INET6


@contextmanager
def answering(answers: Answers, kind: type[HTTPServer] = ThreadingHTTPServer) -> Iterator[int]:
    """A server on the loopback address that gives these answers; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, text = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with kind(("::1" if kind is OnIPv6 else "127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def server_at(port: int, address: str = "127.0.0.1", *, tls: bool = False) -> RunningServer:
    pid = os.getpid()
    return RunningServer(
        pid=pid,
        started=start_of(pid),
        host=address,
        address=address,
        port=port,
        tls=tls,
        graceful_timeout_s=1.0,
        scratch="",
    )


WELL = (200, '{"status": "live"}')


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"/health/live": WELL, "/health/ready": WELL}, (True, "ready")),
        (
            {"/health/live": WELL, "/health/ready": (503, REFUSAL)},
            (True, "not ready: the model is being loaded"),
        ),
        ({"/health/live": (503, REFUSAL)}, (False, "not live: the model is being loaded")),
        ({"/health/live": (200, "<html>")}, (False, "no answer: Expecting value: line 1 column 1 (char 0)")),
        ({"/health/live": (503, "{}")}, (False, "no answer: 'msg'")),
    ],
)
def test_a_server_says_how_it_is(answers: Answers, told: tuple[bool, str]) -> None:
    with answering(answers) as port:
        assert health_of(server_at(port)) == told


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", ThreadingHTTPServer),  # noqa: S104
        ("::", ThreadingHTTPServer),
        pytest.param("::1", OnIPv6, marks=needs_ipv6),
    ],
)
def test_it_is_asked_at_an_address_that_can_be_opened(address: str, kind: type[HTTPServer]) -> None:
    with answering({"/health/live": WELL, "/health/ready": WELL}, kind) as port:
        assert health_of(server_at(port, address)) == (True, "ready")


def test_one_that_does_not_answer_is_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    assert health_of(server_at(free_port())) == (False, "no answer: [Errno 111] Connection refused")
    monkeypatch.setattr(health, "_TIMEOUT_S", 0.1)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:  # accepts, and that is all
        assert health_of(server_at(silent.server_address[1])) == (False, "no answer: timed out")
        is_live, told = health_of(server_at(silent.server_address[1], tls=True))
    assert not is_live
    assert told.startswith("no answer: ")
