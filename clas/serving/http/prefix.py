"""Where an address begins and ends: the path prefix of a proxy before it, and a slash behind it."""

import ipaddress
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ..web_options import is_prefix

_LOGGER: Final = logging.getLogger("clas_system")
_HEADER: Final = "X-Forwarded-Prefix"
_PREFIX: Final = "clas_system.prefix"  # keys of a request's scope
_HAS_SLASH: Final = "clas_system.has_slash"


class PrefixMiddleware:
    """Takes the prefix off the paths of requests, where the proxy has passed it on; see `prefix_of`.

    What is behind it sees the same paths with and without a proxy.

    Args:
        app: Answers the requests.
        root_path: The prefix; empty for none.
        forwarded_allow_ips: Addresses and networks of proxies that say in a header what they have stripped.
    """

    def __init__(self, app: ASGIApp, root_path: str, forwarded_allow_ips: Sequence[str]) -> None:
        self._app = app
        self._root_path = root_path
        self._networks = [ipaddress.ip_network(network) for network in forwarded_allow_ips]
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            path = self._without_root_path(scope["path"])
            scope = {**scope, "path": path, "root_path": "", _PREFIX: self._prefix_of(scope)}
        await self._app(scope, receive, send)

    def _without_root_path(self, path: str) -> str:
        """Return a path as it is where the proxy strips the prefix; one in a header is stripped already."""
        if path == self._root_path:
            return "/"
        return path.removeprefix(self._root_path) if path.startswith(f"{self._root_path}/") else path

    def _prefix_of(self, scope: Scope) -> str:
        if not self._networks or not self._is_trusted(scope.get("client")):
            return self._root_path
        values = Headers(scope=scope).getlist(_HEADER)
        if not values:
            return self._root_path
        prefix = values[0].removesuffix("/")
        if len(values) == 1 and (not prefix or is_prefix(prefix)):
            return prefix
        if not self._has_warned:
            self._has_warned = True
            shown = repr(", ".join(values))[:200]
            _LOGGER.warning("%s is ignored: it is %s, and takes one path such as /clas", _HEADER, shown)
        return self._root_path

    def _is_trusted(self, client: Sequence[Any] | None) -> bool:
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:  # no TCP
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:  # at `::`
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def prefixes(root_path: str, forwarded_allow_ips: Sequence[str]) -> list[Middleware]:
    """Return the middleware that takes care of prefixes; none where there can't be one."""
    if not root_path and not forwarded_allow_ips:
        return []
    return [Middleware(PrefixMiddleware, root_path=root_path, forwarded_allow_ips=forwarded_allow_ips)]


def prefix_of(scope: Mapping[str, Any]) -> str:
    """Return what precedes the paths of a request where its client is: `/clas`, or empty."""
    prefix: str = scope.get(_PREFIX, "")
    return prefix


def without_slash(scope: Scope) -> Scope:
    """Return a scope whose path ends in a slash without it; a redirection would lose many a client's body."""
    return {**scope, "path": scope["path"][:-1], _HAS_SLASH: True}


def has_slash(scope: Scope) -> bool:
    """Return whether `without_slash` was called: from there, relative addresses begin one level deeper."""
    return _HAS_SLASH in scope
