import logging

import pytest

from clas.serving import start
from clas.serving.options import ServerOptions
from clas.serving.process.control import Control
from clas.serving.process.pidfile import RunningServer

TLS = ServerOptions(tls_cert_file="cert.pem", tls_key_file="key.pem")


@pytest.mark.parametrize(
    ("options", "host", "url"),
    [
        (ServerOptions(), "127.0.0.1", "http://127.0.0.1:80"),
        (ServerOptions(), "::1", "http://[::1]:80"),
        (TLS, "localhost", "https://localhost:80"),
    ],
)
def test_the_address_is_one_that_clients_take(options: ServerOptions, host: str, url: str) -> None:
    assert start.url_of(options, host, 80) == url


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("::", "127.0.0.1"),  # also where ::1 is turned off
        ("::1", "[::1]"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_last_line_of_a_start_has_an_address_to_open(
    caplog: pytest.LogCaptureFixture, host: str, shown: str
) -> None:
    server = RunningServer(
        pid=1, started="", host=host, address=host, port=8866, graceful_timeout_s=1, scratch="/nowhere"
    )
    with caplog.at_level(logging.INFO, "clas_system"):
        start._on_ready(ServerOptions(host=host), Control(), server)
    assert caplog.messages == [f"ready: http://{shown}:8866  page /ui  API /docs"]
