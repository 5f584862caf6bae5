"""Asks a service over HTTP: connections, deadlines, bounds, and what is tried again."""

import contextlib
import http.client
import re
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, NoReturn

import requests
from requests.auth import AuthBase
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import Retry, parse_url

from .deadline import DeadlineAdapter
from .reply import Reply, ServiceError, UnreachableError, in_one_line

_JSON: Final = {"Content-Type": "application/json"}
_RETRIED_STATUSES: Final = (429, 503)
_LONGEST_WAIT_S: Final = 60.0
_UNREACHED: Final = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.InvalidURL,
    requests.exceptions.ProxyError,
    requests.exceptions.SSLError,
)


class _BrokenError(ServiceError):
    """Raised when a connection broke, or what came over it isn't HTTP."""


class _Bearer(AuthBase):
    """Adds the token; as `auth`, since requests replaces a plain header by what is in a .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Session(requests.Session):
    """Follows no redirection and keeps no cookies: both would hold whatever a server sends."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._of_environment: dict[str, Any] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:  # noqa: ANN401  # requests'
        """Look into the environment once for each address: of a request's 0.8 ms of CPU this takes 0.1."""
        if url not in self._of_environment:
            found = super().merge_environment_settings(url, proxies, stream, verify, cert)
            self._of_environment[url] = found
        return self._of_environment[url].copy()

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: of a redirection requests reads the whole body, even if it isn't to follow it."""


class Transport:
    """Keep-alive connections to a service; safe to use from several threads.

    Args:
        timeout_s: Longest time for connecting, for sending a request, and for its answer, each as a whole.
        retries: How often a request is repeated after a connection error, HTTP 429 or 503.
        token: The bearer token; None for none.
        connections: The most connections at once.
    """

    def __init__(self, timeout_s: float, retries: int, token: str | None, connections: int) -> None:
        self._timeout_s = timeout_s
        self._retries = retries
        self._was_reached = False
        self._is_given_up = False  # never reached, in spite of all retries
        self._proxies: dict[str, str] = {}  # of the few addresses; to find one takes 0.2 ms
        self._session = _Session()
        if token is not None:
            self._session.auth = _Bearer(token)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, DeadlineAdapter(pool_maxsize=connections))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, url: str, most_bytes: int, body: bytes | None = None) -> Reply:
        """Return the reply to a POST of the body, or to a GET if there is none.

        Args:
            url: The address.
            most_bytes: The longest reply to read.
            body: JSON.

        Raises:
            UnreachableError: There is no connection, after all retries; a service that was reached before
                may be restarting, and is waited for, for `timeout_s`. One that never was, in spite of all
                retries of an earlier call, is tried once.
            ServiceError: There is no reply, or one that is too long; one line that says why.
        """
        start_s = time.monotonic()
        number = 0
        while True:
            number += 1
            try:
                reply = self._ask_once(url, most_bytes, body)
            except (UnreachableError, _BrokenError) as exc:
                self._was_reached |= isinstance(exc, _BrokenError)
                wait_s = self._wait_s(exc, number, start_s)
                if wait_s is None:
                    self._is_given_up = not self._was_reached
                    raise
            else:
                self._was_reached = True
                if number > self._retries or reply.status not in _RETRIED_STATUSES:
                    return reply
                wait_s = _retry_after_s(reply.retry_after, _backoff_s(number))
            time.sleep(wait_s)

    def _wait_s(self, error: ServiceError, number: int, start_s: float) -> float | None:
        """Return the wait after the try of this number, which failed; None if it was the last one."""
        wait_s = _backoff_s(number)
        if self._is_given_up and not self._was_reached:
            return None
        if number <= self._retries:
            return wait_s
        left_s = start_s + self._timeout_s - time.monotonic()
        may_be_restarting = isinstance(error, UnreachableError) and self._was_reached and self._retries > 0
        return min(wait_s, left_s) if may_be_restarting and left_s > 0 else None

    def _ask_once(self, url: str, most_bytes: int, body: bytes | None) -> Reply:
        if url not in self._proxies:
            self._proxies[url] = _proxy_of(url)
        proxy = self._proxies[url]
        has_begun = False
        try:
            with self._session.request(
                "GET" if body is None else "POST",
                url,
                data=body,
                headers=None if body is None else _JSON,
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                has_begun = True
                content: bytes = response.raw.read(most_bytes + 1, decode_content=True)
        except (requests.RequestException, HTTPError) as exc:
            self._refuse(exc, url, proxy, has_begun=has_begun)
        if len(content) > most_bytes:
            raise ServiceError(f"{url} sent an answer of more than {most_bytes} bytes")
        headers = response.headers
        origin = f"the server, or the proxy {proxy} before it," if proxy else "the server"
        return Reply(
            response.status_code,
            headers.get("Content-Type", ""),
            content,
            headers.get("Retry-After"),
            origin,
        )

    def _refuse(self, exc: Exception, url: str, proxy: str, *, has_begun: bool) -> NoReturn:
        """Raise what requests or urllib3 raised as an error of ours.

        Args:
            exc: What was raised.
            url: The address that was asked.
            proxy: The proxy that the environment names for it; empty for none.
            has_begun: Whether the head of an answer had come.
        """
        cause = _innermost(exc)
        through = f" through the proxy {proxy} that the environment names" if proxy else ""
        is_unreached = isinstance(cause, NewConnectionError) or (
            isinstance(exc, _UNREACHED) and not has_begun
        )
        if isinstance(cause, TimeoutError | ReadTimeoutError) or type(cause) is ConnectTimeoutError:
            error = UnreachableError if is_unreached else ServiceError
            raise error(f"{url} didn't answer{through} within {self._timeout_s:g} s") from exc
        # without urllib3's connection in front
        reason = in_one_line(re.sub(r"^\w+\(.*?\): ", "", str(cause))) or type(cause).__name__
        is_http = isinstance(cause, ConnectionError) or not isinstance(
            cause, http.client.HTTPException | InvalidHeader
        )
        if has_begun or not is_http:
            raise _BrokenError(f"{url} sent an incomplete or damaged answer{through}: {reason}") from exc
        raise (UnreachableError if is_unreached else _BrokenError)(
            f"{url} can't be reached{through}: {reason}"
        ) from exc


def _backoff_s(number: int) -> float:
    """Return the wait after the try of this number: 0, 1, 2, 4 ... seconds."""
    return 0.0 if number == 1 else min(2.0 ** min(number - 2, 10), _LONGEST_WAIT_S)


def _retry_after_s(header: str | None, otherwise_s: float) -> float:
    """Return the wait that a server asks for, in seconds or as a date, within bounds."""
    if header is not None:
        with contextlib.suppress(InvalidHeader, OverflowError):
            return min(Retry().parse_retry_after(header), _LONGEST_WAIT_S)
    return otherwise_s


def _proxy_of(url: str) -> str:
    """Return the address of the proxy that the environment names for a URL, without its password."""
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return ""
    with contextlib.suppress(HTTPError):
        return parse_url(proxy)._replace(auth=None).url
    return "of the environment"


def _innermost(exc: BaseException) -> BaseException:
    """Return the innermost of requests' and urllib3's nested errors, which says what happened."""
    candidates = (getattr(exc, "reason", None), *exc.args)
    nested = next((inner for inner in candidates if isinstance(inner, BaseException)), None)
    return _innermost(nested) if nested else exc
