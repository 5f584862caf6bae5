import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from clas_client.reply import ServiceError
from clas_client.sender import Sender
from raw_server import HEAD, raw_server

Send = Callable[[socket.socket, threading.Event], None]


def drip(start: bytes, again: bytes) -> Send:
    """Send some bytes at once, then others now and then."""

    def answer(connection: socket.socket, is_over: threading.Event) -> None:
        connection.sendall(start)
        while not is_over.wait(0.05):
            connection.sendall(again)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        drip(HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drip(HEAD, b"X: y\r\n"),
        drip(b"HTTP/1.1 20", b"0"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        drip(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n", b" "),
    ],
    ids=["body", "chunks", "head", "status", "interim", "trailer", "busy"],
)
def test_an_answer_that_comes_drop_by_drop_has_one_deadline(answer: Send) -> None:
    with raw_server(answer) as url, closing(Sender(url, 0.3, 3)) as sender:
        start = time.monotonic()
        with pytest.raises(ServiceError, match=r"didn't answer within 0\.3 s$"):
            sender.predict([b""], lambda _: b"{}")
        assert time.monotonic() - start < 2  # and it isn't asked again


def test_a_request_that_is_read_drop_by_drop_over_tls_has_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    is_over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as encrypted:
            while not is_over.wait(0.1):
                encrypted.recv(2**14)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12)
        server = threading.Thread(target=serve)
        server.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with closing(Sender(url, 0.5, 0)) as sender:
            start = time.monotonic()
            with pytest.raises(ServiceError, match=r"didn't answer within 0\.5 s$"):
                sender.predict([b""], lambda _: bytes(2**26))
            assert time.monotonic() - start < 2
        is_over.set()
        server.join()


def test_a_connection_is_used_again_after_an_answer_that_took_long() -> None:
    """What is left of the time for one answer isn't the time for the next."""
    answers = []

    def answer(connection: socket.socket, is_over: threading.Event) -> None:
        body = b'{"status": "101", "msg": "no", "results": ""}'
        for _ in range(2):
            is_over.wait(0.3)
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            answers.append(connection)
            connection.recv(2**16)

    with raw_server(answer) as url, closing(Sender(url, 0.5, 0)) as sender:
        for _ in range(2):
            with pytest.raises(ServiceError, match="refused"):
                sender.predict([b""], lambda _: b"{}")
    assert answers[0] is answers[1]
