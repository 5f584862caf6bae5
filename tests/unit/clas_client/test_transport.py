import gzip
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest

from clas_client.reply import ServiceError, UnreachableError
from clas_client.transport import Transport
from raw_server import HEAD, raw_server
from scripted_service import Reply, scripted_service

MOST = 100_000
SPACES = b" " * 2**16


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, which take no time here."""
    found: list[float] = []
    monkeypatch.setattr("clas_client.transport.time.sleep", found.append)
    return found


@contextmanager
def transport(timeout_s: float = 10, retries: int = 0) -> Iterator[Transport]:
    with closing(Transport(timeout_s, retries, None, 1)) as made:
        yield made


def endless(head: bytes, piece: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, is_over: threading.Event) -> None:
        connection.sendall(head)
        while not is_over.is_set():
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"Content-Length: 10000000000\r\n\r\n", SPACES),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + SPACES + b"\r\n"),
        (HEAD + b"Connection: close\r\n\r\n", SPACES),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1" * 2**16),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X" * 2**16),
        (HEAD, b"X" * 2**16),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 10000000000\r\n\r\n", SPACES),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 10000000000\r\n\r\n", SPACES),
    ],
    ids=["length", "chunks", "close", "size_of_chunk", "trailer", "header", "busy", "redirect"],
)
def test_an_answer_without_end_is_cut_off(head: bytes, piece: bytes) -> None:
    with raw_server(endless(head, piece)) as url, transport() as made:
        tracemalloc.start()
        try:
            with pytest.raises(ServiceError, match=r"sent an (answer of more than|incomplete or damaged)"):
                made.ask(url, MOST, b"{}")
            assert tracemalloc.get_traced_memory()[1] < 10 * MOST
        finally:
            tracemalloc.stop()


def test_a_compressed_answer_is_bounded_by_what_it_becomes() -> None:
    bomb = Reply(gzip.compress(bytes(50_000_000)), headers=(("Content-Encoding", "gzip"),))
    with scripted_service(lambda _: bomb) as service, transport() as made:
        tracemalloc.start()
        try:
            with pytest.raises(ServiceError, match=f"sent an answer of more than {MOST} bytes"):
                made.ask(service.url, MOST, b"{}")
            assert tracemalloc.get_traced_memory()[1] < 20 * MOST
        finally:
            tracemalloc.stop()


def test_an_answer_of_just_the_bound_is_taken() -> None:
    with scripted_service(lambda _: Reply(b"1" * MOST)) as service, transport() as made:
        assert len(made.ask(service.url, MOST, b"{}").body) == MOST
        assert len(service.requests) == 1


def test_what_is_no_http_is_one_clear_line(waits: list[float]) -> None:
    def answer(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"\x1b[31m\x00 SSH-2.0\r\n\r\n")

    with (
        raw_server(answer) as url,
        transport(retries=1) as made,
        pytest.raises(ServiceError, match="sent an incomplete or damaged answer: ") as caught,
    ):
        made.ask(url, MOST, b"{}")
    assert str(caught.value).isprintable()
    assert waits == [0]


def test_neither_cookies_nor_redirections_are_kept() -> None:
    headers = (("Set-Cookie", "a=b"), ("Location", "http://127.0.0.1:1/"))
    cookies = []

    def answer(connection: socket.socket, _: threading.Event) -> None:
        for _number in range(2):
            connection.sendall(
                b"HTTP/1.1 302 Found\r\n%s\r\nContent-Length: 1\r\n\r\nx"
                % b"\r\n".join(f"{name}: {value}".encode() for name, value in headers)
            )
            cookies.append(b"Cookie" in connection.recv(2**16))

    with raw_server(answer) as url, transport() as made:
        assert [made.ask(url, MOST).status for _ in range(2)] == [302, 302]
    assert cookies == [False, False]


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def reach_and_stop(made: Transport) -> str:
    """Ask a service that is gone afterwards, and return its address."""
    with scripted_service(front=Reply(b"{}", headers=(("Connection", "close"),))) as service:
        made.ask(service.url, MOST)
        return service.url


def test_a_service_that_was_never_there_is_tried_as_often_as_was_asked(waits: list[float]) -> None:
    with transport(retries=2) as made, pytest.raises(UnreachableError, match="Connection refused"):
        made.ask(free_address(), MOST)
    assert waits == [0, 1]


def test_one_that_was_never_there_is_not_waited_for_twice(waits: list[float]) -> None:
    with transport(timeout_s=0.3, retries=2) as made:
        for _ in range(2):
            with pytest.raises(UnreachableError, match="Connection refused"):
                made.ask(free_address(), MOST)
        assert waits == [0, 1]
        url = reach_and_stop(made)
        with pytest.raises(UnreachableError):
            made.ask(url, MOST)
    assert waits[:5] == [0, 1, 0, 1, pytest.approx(0.3, abs=0.1)]


def test_a_service_that_is_restarted_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the whole timeout, however few retries there are."""
    now_s = [0.0]
    waited: list[float] = []

    def sleep(wait_s: float) -> None:
        waited.append(wait_s)
        now_s[0] += wait_s

    with transport(timeout_s=20, retries=1) as made:
        url = reach_and_stop(made)
        monkeypatch.setattr(
            "clas_client.transport.time", SimpleNamespace(sleep=sleep, monotonic=lambda: now_s[0])
        )
        with pytest.raises(UnreachableError):
            made.ask(url, MOST)
    assert waited == [0, 1, 2, 4, 8, 5]


def test_one_without_retries_is_not_waited_for(waits: list[float]) -> None:
    with transport(retries=0) as made:
        url = reach_and_stop(made)
        with pytest.raises(UnreachableError):
            made.ask(url, MOST)
    assert waits == []


def test_a_broken_connection_is_no_unreachable_service(waits: list[float]) -> None:
    with scripted_service(lambda _: None) as service, transport(retries=1) as made:
        with pytest.raises(ServiceError, match="Remote end closed connection") as caught:
            made.ask(service.url, MOST, b"{}")
        assert len(service.requests) == 2
    assert not isinstance(caught.value, UnreachableError)
    assert waits == [0]


def test_a_proxy_of_the_environment_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = free_address()
    monkeypatch.setenv("http_proxy", proxy.replace("//", "//user:secret@"))
    with transport() as made, pytest.raises(UnreachableError) as caught:
        made.ask("http://service.invalid/", MOST)
    message = str(caught.value)
    assert f"can't be reached through the proxy {proxy.rstrip('/')}" in message
    assert "secret" not in message


def test_a_proxy_that_answers_for_the_service_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = Reply(b"<h1>Blocked", 403, "text/html")
    with scripted_service(front=blocked) as proxy, transport() as made:
        address = proxy.url.removesuffix("/predict/clas_system")
        monkeypatch.setenv("http_proxy", address)
        reply = made.ask("http://service.invalid/", MOST)
    with pytest.raises(ServiceError, match=f"^the server, or the proxy {address} before it, answered"):
        reply.json()


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, transport(timeout_s=0.2) as made:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("http_proxy", address)
        with pytest.raises(ServiceError, match=f"didn't answer through the proxy {address}.* within 0.2 s"):
            made.ask("http://service.invalid/", MOST)
