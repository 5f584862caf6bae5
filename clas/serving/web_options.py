"""Reads the options that are about browsers and proxies: origins, a path prefix, networks."""

import ipaddress
import re
import reprlib
from typing import Final

from ..errors import SettingsError

ANY_ORIGIN: Final = "*"
OWN_SEGMENTS: Final = ("predict", "v2", "health", "metrics", "openapi.json", "docs", "ui", "favicon.ico")
"""How the server's own addresses begin, each after its first slash."""

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+))(?::([0-9]{1,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_PREFIX: Final = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9_.-]+)+")


def read_origins(value: object) -> tuple[str, ...]:
    """Return the origins whose pages may call the server: a list, or a text with commas between them.

    Each of them is written as browsers send it: `https://example.com`, or `*` for all.

    Raises:
        SettingsError: The value is neither, or has what no browser sends.
    """
    origins = _items("allow_origin", value, "origins")
    for origin in origins:
        match = _ORIGIN.fullmatch(origin)
        is_default = match and match[2] and _DEFAULT_PORTS.get(origin.partition(":")[0]) == match[2]
        if origin != ANY_ORIGIN and (not match or is_default):
            raise SettingsError(
                f"allow_origin has {origin!r:.100}; it takes origins as browsers send them, such as "
                "https://example.com or http://localhost:3000: scheme, host and any port but the scheme's "
                "own, in lower case and without a slash behind it"
            )
    if ANY_ORIGIN in origins and len(origins) > 1:
        raise SettingsError(f"allow_origin is {', '.join(origins)}; * means all origins, and stands alone")
    return origins


def read_root_path(value: object) -> str:
    """Return the path prefix under which a proxy serves the server: `/clas`, or empty for none.

    Raises:
        SettingsError: It isn't such a path, or one that the server has itself.
    """
    if not isinstance(value, str):
        raise SettingsError(f"root_path is {reprlib.repr(value)}; it takes a path such as /clas")
    prefix = value.removesuffix("/")
    if prefix and not is_prefix(prefix):
        raise SettingsError(
            f"root_path is {reprlib.repr(value)}; it takes a path such as /clas, of letters, digits, _, . "
            "and - between the slashes"
        )
    if prefix and prefix.split("/")[1] in OWN_SEGMENTS:
        raise SettingsError(
            f"root_path is {value}; the server has addresses of its own there: name another one"
        )
    return prefix


def is_prefix(text: str) -> bool:
    """Return whether a text is a path prefix, which can't leave its place in a URL or in HTML."""
    return bool(_PREFIX.fullmatch(text))


def read_networks(value: object) -> tuple[str, ...]:
    """Return addresses and networks: a list, or a text with commas between them.

    Raises:
        SettingsError: The value is neither, or has something else.
    """
    networks = _items("forwarded_allow_ips", value, "addresses")
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as exc:
            raise SettingsError(
                f"forwarded_allow_ips has {network!r:.100}; it takes addresses and networks such as "
                "127.0.0.1, ::1 or 10.0.0.0/8"
            ) from exc
    return networks


def _items(name: str, value: object, kind: str) -> tuple[str, ...]:
    items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise SettingsError(f"{name} is {reprlib.repr(value)}; it takes a list of {kind}")
    return tuple(dict.fromkeys(items))
