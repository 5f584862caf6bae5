"""Send batches to the service and read its answers."""

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from clas.output.base import Prediction

from .answer import ServiceError, read_results

_Item = TypeVar("_Item")

_JSON: Final = {"Content-Type": "application/json"}
_RETRIED_STATUSES: Final = (429, 503)
_BACKOFF_S: Final = 0.5  # waits of 0, 1, 2, 4 ... seconds, or the server's Retry-After
_RETRY_AFTER_MAX_S: Final = 60
_TIMEOUTS: Final = (ConnectTimeoutError, ReadTimeoutError)  # the first is also a base of NewConnectionError
_BROKEN_ANSWERS: Final = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer to one batch.

    Attributes:
        predictions: One entry per image.
        elapse_s: Seconds the service spent predicting.
        latency_s: Seconds from encoding the batch until the answer was read.
    """

    predictions: list[Prediction]
    elapse_s: float
    latency_s: float


class _Bearer(AuthBase):
    """Adds the token; as `auth`, since requests replaces a plain header by what is in a .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Retry(Retry):
    """Retries after a broken connection, but not when an answer is late: the server still works on it."""

    def increment(  # the signature is urllib3's
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> "_Retry":
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class Sender:
    """Keep-alive connections to one service; safe to call from several threads.

    Args:
        url: The service's address, ending in /predict/clas_system.
        timeout_s: Longest wait for a connection, and for each answer.
        retries: How often a request is repeated after a connection error, HTTP 429 or 503.
        token: The bearer token; None for none.
        connections: The most connections at once.
    """

    def __init__(
        self, url: str, timeout_s: float, retries: int, token: str | None = None, connections: int = 1
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._retries = retries
        self._session = requests.Session()
        if token is not None:
            self._session.auth = _Bearer(token)
        retry = _Retry(
            total=retries,
            backoff_factor=_BACKOFF_S,
            status_forcelist=_RETRIED_STATUSES,
            allowed_methods=None,  # predicting is idempotent, so POST is retried, too
            raise_on_status=False,  # the last refusal is an answer that holds the reason
            retry_after_max=_RETRY_AFTER_MAX_S,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=connections))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def predict(self, items: Sequence[_Item], make_body: Callable[[Sequence[_Item]], bytes]) -> Answer:
        """Send one batch and return the answer.

        Args:
            items: The images.
            make_body: Encodes them as the body of a request; its time is part of the latency.

        Raises:
            ServiceError: There is no valid answer; one line that says why.
        """
        start = time.perf_counter()
        response = self._post(make_body(items))
        results = read_results(response)
        latency_s = time.perf_counter() - start
        predictions = results["prediction"]
        if len(predictions) != len(items):
            raise ServiceError(f"the server returned {len(predictions)} results for {len(items)} images")
        return Answer(predictions, results["elapse"], latency_s)

    def get(self, url: str) -> requests.Response:
        """Send a GET request, with the same token.

        Raises:
            ServiceError: There is no answer; one line that says why.
        """
        return self._ask(lambda: self._session.get(url, timeout=self._timeout_s, allow_redirects=False), url)

    def _post(self, body: bytes) -> requests.Response:
        return self._ask(lambda: self._post_once(body), self._url)

    def _ask(self, ask_once: Callable[[], requests.Response], url: str) -> requests.Response:
        try:
            for _ in range(self._retries):
                with contextlib.suppress(requests.exceptions.ChunkedEncodingError):  # the server died midway
                    return ask_once()
            return ask_once()
        except (requests.RequestException, HTTPError) as exc:
            cause = _innermost(exc)
            if isinstance(cause, _TIMEOUTS) and not isinstance(cause, NewConnectionError):
                raise ServiceError(f"{url} didn't answer within {self._timeout_s:g} s") from exc
            what = (
                "sent an incomplete or damaged answer"
                if isinstance(exc, _BROKEN_ANSWERS)
                else "can't be reached"
            )
            reason = re.sub(r"^\w+\(.*?\): ", "", str(cause))  # without urllib3's connection in front
            raise ServiceError(f"{url} {what}: {reason}") from exc

    def _post_once(self, body: bytes) -> requests.Response:
        return self._session.post(
            self._url, body, headers=_JSON, timeout=self._timeout_s, allow_redirects=False
        )


def _innermost(exc: BaseException) -> BaseException:
    """Return the innermost of requests' and urllib3's nested errors, which says what happened."""
    candidates = (getattr(exc, "reason", None), *exc.args)
    nested = next((inner for inner in candidates if isinstance(inner, BaseException)), None)
    return _innermost(nested) if nested else exc
