import re

import pytest

from clas.errors import SettingsError
from clas.serving.options import ServerOptions, load_options
from clas.serving.web_options import is_prefix


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://example.com", ("https://example.com",)),
        ("https://a.example, http://localhost:3000", ("https://a.example", "http://localhost:3000")),
        (["http://[::1]:3000", "capacitor://localhost"], ("http://[::1]:3000", "capacitor://localhost")),
        ("http://a.example:443,https://a.example:80", ("http://a.example:443", "https://a.example:80")),
        (["https://a.example", "https://a.example"], ("https://a.example",)),
    ],
)
def test_origins_are_a_list_in_a_file_and_a_text_in_a_flag(value: object, origins: tuple[str, ...]) -> None:
    assert load_options({"allow_origin": value}).allow_origin == origins


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "example.com",
            "https://",
            "//example.com",
            "null",
            "https://example.com/",
            "https://*.example.com",
        ),
        *("https://example.com/ui", "HTTPS://example.com", "https://Example.com", "https://a@example.com"),
        *(
            "https://example.com:443",
            "http://example.com:80",
            "https://example.com:",
            "https://bücher.example",
        ),
        *("https://exam ple.com", "https://example.com:123456", "https://::1"),
    ],
)
def test_what_no_browser_sends_as_its_origin_is_refused_in_one_line(origin: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"allow_origin has {origin!r}; it takes")) as caught:
        load_options({"allow_origin": ["https://a.example", origin]})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"allow_origin": "*,https://a.example"},
            "allow_origin is *, https://a.example; * means all origins",
        ),
        ({"allow_origin": 5}, "allow_origin is 5; it takes a list of origins"),
        ({"allow_origin": [5]}, "allow_origin is [5]; it takes a list of origins"),
        ({"forwarded_allow_ips": "proxy"}, "forwarded_allow_ips has 'proxy'; it takes addresses and"),
        (
            {"forwarded_allow_ips": "*"},
            "forwarded_allow_ips has '*'; it takes addresses and networks such as",
        ),
        ({"forwarded_allow_ips": "10.0.0.1/8"}, "forwarded_allow_ips has '10.0.0.1/8'; it takes"),
        ({"forwarded_allow_ips": True}, "forwarded_allow_ips is True; it takes a list of addresses"),
        ({"root_path": 5}, "root_path is 5; it takes a path such as /clas"),
        ({"root_path": "clas"}, "root_path is 'clas'; it takes a path such as /clas, of letters, digits"),
        ({"root_path": "/ui"}, "root_path is /ui; the server has addresses of its own there: name another"),
        ({"root_path": "/v2/models/"}, "root_path is /v2/models/; the server has addresses of its own"),
    ],
)
def test_an_invalid_option_is_refused_by_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_options(values)


def test_addresses_and_networks_are_of_either_version() -> None:
    text = "127.0.0.1, ::1,10.0.0.0/8,fd00::/8"
    options = load_options({"forwarded_allow_ips": text})
    assert options.forwarded_allow_ips == ("127.0.0.1", "::1", "10.0.0.0/8", "fd00::/8")


def test_nothing_of_this_is_on_by_default() -> None:
    options = ServerOptions()
    assert (options.allow_origin, options.root_path, options.forwarded_allow_ips) == ((), "", ())


@pytest.mark.parametrize(
    ("value", "prefix"),
    [("", ""), ("/", ""), ("/clas", "/clas"), ("/clas/", "/clas"), ("/a/b_c/d-e.f", "/a/b_c/d-e.f")],
)
def test_a_prefix_may_end_in_a_slash(value: str, prefix: str) -> None:
    assert load_options({"root_path": value}).root_path == prefix


@pytest.mark.parametrize(
    "text",
    [
        *("", "clas", "//evil.example", "/a//b", "/a/", "/..", "/a/..", "/a/../b", "/./a", "/a b", "/a\n"),
        *('/"><script>', "/a%2e%2e", "/a?b", "/a#b", "/a:b", "/ä", "/a\\b", "https://evil.example"),
    ],
)
def test_what_could_leave_its_place_is_no_prefix(text: str) -> None:
    assert not is_prefix(text)
    if text:
        with pytest.raises(SettingsError, match="root_path is "):
            load_options({"root_path": f"{text}/"})
