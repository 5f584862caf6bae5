"""Send batches to the service and read its answers."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from clas.output.base import Prediction
from clas.protocol import PREDICT_PATH

from .answer import Results, read_results
from .reply import Reply, ServiceError, WrongAddressError
from .transport import Transport

_Item = TypeVar("_Item")

_MOST_BYTES_EACH: Final = 4 * 2**20  # 20,000 classes, each with id, score, and a name of 150 bytes
_MOST_BYTES_BESIDES: Final = 2**20
_MOST_BYTES: Final = 256 * 2**20
_NOTHING_THERE: Final = (301, 302, 303, 307, 308, 404, 405)
"""The statuses of an address where no predictions are: redirections, which aren't followed, and refusals."""


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


class Sender:
    """Sends to one service; safe to call from several threads.

    Args:
        url: The service's address, ending in /predict/clas_system.
        timeout_s: Longest time for connecting, for sending a request, and for its answer, each as a whole.
        retries: How often a request is repeated after a connection error, HTTP 429 or 503.
        token: The bearer token; None for none.
        connections: The most connections at once.
    """

    def __init__(
        self, url: str, timeout_s: float, retries: int, token: str | None = None, connections: int = 1
    ) -> None:
        self._url = url
        self._has_answered = False
        self._transport = Transport(timeout_s, retries, token, connections)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def predict(self, items: Sequence[_Item], make_body: Callable[[Sequence[_Item]], bytes]) -> Answer:
        """Send one batch and return the answer.

        Args:
            items: The images.
            make_body: Encodes them as the body of a request; its time is part of the latency.

        Raises:
            UnreachableError: The service can't be reached.
            WrongAddressError: There has been no answer yet, and the address isn't that of a service.
            ServiceError: There is no valid answer; one line that says why.
        """
        start = time.perf_counter()
        most_bytes = min(_MOST_BYTES_BESIDES + len(items) * _MOST_BYTES_EACH, _MOST_BYTES)
        results = self._read(self._transport.ask(self._url, most_bytes, make_body(items)))
        latency_s = time.perf_counter() - start
        predictions = results["prediction"]
        if len(predictions) != len(items):
            raise ServiceError(f"the server returned {len(predictions)} results for {len(items)} images")
        return Answer(predictions, results["elapse"], latency_s)

    def _read(self, reply: Reply) -> Results:
        try:
            results = read_results(reply)
        except ServiceError as exc:
            if reply.status in _NOTHING_THERE and not self._has_answered:
                raise WrongAddressError(
                    f"there is no service at {self._url}: {exc}; --server_url takes an address such as "
                    f"http://127.0.0.1:8866{PREDICT_PATH}"
                ) from exc
            raise
        self._has_answered = True
        return results

    def get(self, url: str) -> Reply:
        """Send a GET request, with the same token.

        Raises:
            ServiceError: There is no answer; one line that says why.
        """
        return self._transport.ask(url, _MOST_BYTES_BESIDES)
