import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from addresses import needs_ipv6
from clas.serving.process import listener
from clas.serving.process.listener import host_and_port, listen, reachable_host, shown_host

ALL_IPV4 = "0.0.0.0"  # noqa: S104  # of a test


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """What a test leaves open."""
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


def connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "family", "reached", "not_reached"),
    [
        ("127.0.0.1", socket.AF_INET, ["127.0.0.1"], ["127.0.0.2", "::1"]),
        ("::1", socket.AF_INET6, ["::1"], ["127.0.0.1"]),
        (ALL_IPV4, socket.AF_INET, ["127.0.0.1", "127.0.0.2"], ["::1"]),
        ("::", socket.AF_INET6, ["::1", "127.0.0.1", "127.0.0.2"], []),
        ("localhost", socket.AF_INET, ["127.0.0.1"], ["127.0.0.2"]),
    ],
)
def test_each_host_is_reached_at_its_addresses_and_at_no_others(
    host: str, family: int, reached: list[str], not_reached: list[str]
) -> None:
    with closing(listen(host, 0)) as opened:
        assert opened.family == family
        port = opened.getsockname()[1]
        assert [connects(address, port) for address in reached] == [True] * len(reached)
        assert [connects(address, port) for address in not_reached] == [False] * len(not_reached)
        assert shown_host(host, opened) == host


def link_local() -> tuple[str, str] | None:
    """An address of one link with its zone, and without; None if this machine has none."""
    addresses = Path("/proc/net/if_inet6")
    for line in addresses.read_text("ascii").splitlines() if addresses.exists() else []:
        digits, *_, device = line.split()
        if digits.startswith("fe80"):
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
            return f"{address}%{device}", address
    return None


def test_an_address_of_one_link_is_listened_at_in_its_zone() -> None:
    found = link_local()
    if found is None:
        pytest.skip("this machine has no address of one link")
    with_zone, address = found
    with closing(listen(with_zone, 0)) as opened:
        assert opened.getsockname()[0] == address
        assert opened.getsockname()[3]
        assert connects(with_zone, opened.getsockname()[1])


@needs_ipv6
def test_a_name_with_addresses_of_both_versions_is_listened_at_in_ipv4(
    monkeypatch: pytest.MonkeyPatch, opened: list[socket.socket]
) -> None:
    entries = [
        (socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    opened.append(listen("a.example", 0))
    assert opened[-1].getsockname()[0] == "127.0.0.1"
    del entries[1]
    opened.append(listen("a.example", 0))
    assert opened[-1].getsockname()[0] == "::1"


@needs_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_a_port_in_use_is_refused(host: str) -> None:
    with closing(listen(host, 0)) as opened, pytest.raises(OSError, match="Address already in use") as caught:
        listen(host, opened.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


class WithoutIPv6(socket.socket):
    """Fails as on a machine whose kernel has no IPv6; or where no address of it can be had."""

    reason = errno.EAFNOSUPPORT

    def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
        if family == socket.AF_INET6 and self.reason == errno.EAFNOSUPPORT:
            raise OSError(self.reason, "Address family not supported by protocol")
        super().__init__(family, *args, **kwargs)

    def bind(self, address: Any) -> None:
        if self.family == socket.AF_INET6:
            raise OSError(self.reason, "Cannot assign requested address")
        super().bind(address)


@pytest.mark.parametrize("reason", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_on_a_machine_without_ipv6_all_addresses_are_those_of_ipv4(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reason: int
) -> None:
    monkeypatch.setattr(WithoutIPv6, "reason", reason)
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with caplog.at_level(logging.INFO, "clas_system"), closing(listener.listen("::", 0)) as opened:
        assert opened.getsockname()[0] == ALL_IPV4
        assert connects("127.0.0.1", opened.getsockname()[1])
        assert shown_host("::", opened) == ALL_IPV4
    assert caplog.messages == ["this machine has no IPv6: :: stands for 0.0.0.0"]
    with pytest.raises(OSError, match=r"Address family|Cannot assign") as caught:
        listener.listen("::1", 0)
    assert caught.value.errno == reason


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("a.example", "a.example:80"),
        ("::1", "[::1]:80"),
        ("fe80::1%eth0", "[fe80::1%25eth0]:80"),
    ],
)
def test_an_address_of_ipv6_has_brackets_before_its_port(host: str, shown: str) -> None:
    assert host_and_port(host, 80) == shown


def test_all_addresses_are_opened_at_one_of_them() -> None:
    hosts = (ALL_IPV4, "::", "::1", "192.0.2.1")
    assert [reachable_host(host) for host in hosts] == ["127.0.0.1", "127.0.0.1", "::1", "192.0.2.1"]
