import logging
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from clas.errors import UnavailableError
from clas.serving.process.local_socket import ask, open_socket
from local_server import local_server, running_at


def certificate(directory: Path) -> dict[str, str]:
    """The options of a server that speaks TLS."""
    options = {f"tls_{name}_file": str(directory / f"{name}.pem") for name in ("cert", "key")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    files = ["-keyout", options["tls_key_file"], "-out", options["tls_cert_file"]]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return options


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
def test_a_server_is_asked_at_its_own_socket_without_a_token(
    flowers: Path, tmp_path: Path, is_tls: bool
) -> None:
    (tmp_path / "tokens.txt").write_text("0123456789abcdef")
    options = certificate(tmp_path) if is_tls else {}
    with local_server(tmp_path, flowers, token_file=str(tmp_path / "tokens.txt"), **options) as server:
        status, front = ask(server, "GET", "/", 10)
        assert (status, [model["name"] for model in front["models"]]) == (200, ["lily", "rose"])
        status, entry = ask(server, "POST", "/v2/repository/models/rose/unload", 10)
        assert (status, entry["state"]) == (200, "UNAVAILABLE")
        status, answer = ask(server, "POST", "/v2/repository/models/iris/load", 10)
        assert (status, list(answer)) == (404, ["error"])


def test_its_user_alone_can_open_it(tmp_path: Path) -> None:
    """The directory says so: it is one of tempfile's."""
    directory = tmp_path / "scratch"
    directory.mkdir(mode=0o700)
    listener = open_socket(directory)
    assert listener
    with listener:
        [path] = directory.iterdir()
        assert path.is_socket()


def test_a_server_that_is_not_there_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=rf"^process {os.getpid()} can't be asked: .*No such file"):
        ask(running_at(tmp_path), "GET", "/", 10)
    listener = open_socket(tmp_path)
    assert listener
    listener.close()
    with pytest.raises(UnavailableError, match=r"can't be asked: .*Connection refused"):
        ask(running_at(tmp_path), "GET", "/", 10)


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    listener = open_socket(tmp_path)
    assert listener
    with listener, pytest.raises(UnavailableError, match="can't be asked: timed out"):
        ask(running_at(tmp_path), "GET", "/", 0.05)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\n\xff",
    ],
)
def test_nonsense_is_no_answer(tmp_path: Path, answer: bytes) -> None:
    listener = open_socket(tmp_path)
    assert listener

    def give() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    with listener:
        thread = threading.Thread(target=give)
        thread.start()
        with pytest.raises(UnavailableError, match=r"^process \d+ can't be asked: ."):
            ask(running_at(tmp_path), "GET", "/", 10)
        thread.join()


@pytest.mark.parametrize("path", ["/a b", "/\n", "/ä"])
def test_what_is_no_path_is_not_sent(tmp_path: Path, path: str) -> None:
    listener = open_socket(tmp_path)
    assert listener
    with listener, pytest.raises(UnavailableError, match="can't be asked: "):
        ask(running_at(tmp_path), "GET", path, 0.05)


def test_where_there_can_be_no_socket_the_log_says_what_won_t_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / ("long" * 30)
    directory.mkdir()
    with caplog.at_level(logging.WARNING, "clas_system"):
        assert open_socket(directory) is None
    [message] = caplog.messages
    assert message.startswith("`clas-serving reload` and `status` won't reach this server: ")
    monkeypatch.delattr(socket, "AF_UNIX")
    assert open_socket(tmp_path) is None
