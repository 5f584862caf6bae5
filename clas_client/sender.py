"""Send batches to the service and read its answers."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError
from urllib3.util.retry import Retry

from clas.errors import ClasError
from clas.preprocess import Array
from clas.protocol import encode

_RETRIED_STATUSES: Final = (429, 503)
_BACKOFF_S: Final = 0.5  # waits of 0, 1, 2, 4 ... seconds, or what the server's Retry-After says
_TIMEOUTS: Final = (ConnectTimeoutError, ReadTimeoutError)  # the first is a base of NewConnectionError, too
_SHOWN_CHARACTERS: Final = 200


class ServiceError(ClasError):
    """Raised when the service isn't there, refuses a batch, or answers something else."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back for one batch.

    Attributes:
        predictions: One entry per image, with class_ids, scores and label_names.
        elapse_s: Seconds the service spent predicting.
        latency_s: Seconds from encoding the batch to having read the answer.
    """

    predictions: list[dict[str, Any]]
    elapse_s: float
    latency_s: float


def in_batches(items: Iterable[tuple[str, Array]], size: int) -> Iterator[tuple[list[str], list[Array]]]:
    """Group names and images by `size`; the last group holds what is left."""
    names: list[str] = []
    images: list[Array] = []
    for name, image in items:
        names.append(name)
        images.append(image)
        if len(names) == size:
            yield names, images
            names, images = [], []
    if names:
        yield names, images


class Sender:
    """One keep-alive session with one service.

    Args:
        url: The service's address, ending in /predict/clas_system.
        timeout_s: Longest wait for a connection, and for each answer.
        retries: How often a batch is sent again after a connection error, 429 or 503.
    """

    def __init__(self, url: str, timeout_s: float, retries: int) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._session = requests.Session()
        retry = Retry(
            total=retries,
            backoff_factor=_BACKOFF_S,
            status_forcelist=_RETRIED_STATUSES,
            allowed_methods=None,  # a prediction may be repeated, so POST is retried, too
            raise_on_status=False,  # the last refusal is an answer, and has the reason in it
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def predict(self, images: Sequence[Array]) -> Answer:
        """Have one batch classified.

        Args:
            images: N arrays of one shape, by convention [C, H, W]; any plain number dtype.

        Raises:
            ServiceError: There is no usable answer; one line that says why.
        """
        shapes = {image.shape for image in images}
        if len(shapes) > 1:
            raise ServiceError(f"the images of one batch must have one shape; they have {sorted(shapes)}")
        start = time.perf_counter()
        body = encode(np.stack(images))
        try:
            response = self._session.post(
                self._url, json=body, timeout=self._timeout_s, allow_redirects=False
            )
        except requests.RequestException as exc:
            cause = _innermost(exc)
            if isinstance(cause, _TIMEOUTS) and not isinstance(cause, NewConnectionError):
                raise ServiceError(f"{self._url} gave no answer within {self._timeout_s:g} s") from exc
            reason = str(cause).rpartition(": ")[2]
            raise ServiceError(f"{self._url} can't be reached: {reason}") from exc
        results = _read_results(response)
        latency_s = time.perf_counter() - start
        predictions, elapse_s = results.get("prediction"), results.get("elapse")
        if not isinstance(predictions, list) or not isinstance(elapse_s, int | float):
            raise ServiceError(f"the server's answer has no prediction and elapse: {results!r:.200}")
        if len(predictions) != len(images):
            raise ServiceError(f"the server answered {len(predictions)} results to {len(images)} images")
        if not all(_is_prediction(entry) for entry in predictions):
            raise ServiceError("the server's answer has entries without class_ids, scores and label_names")
        return Answer(predictions, elapse_s, latency_s)


def _read_results(response: requests.Response) -> Mapping[str, Any]:
    """Take the results out of PaddleHub's envelope.

    In PaddleHub's own GPU mode the envelope says "000" always, and what the module gave is in its `msg`: the
    results, or another envelope with the true status.
    """
    try:
        envelope = response.json()
    except requests.JSONDecodeError as exc:
        kind = response.headers.get("Content-Type", "no content type")
        raise ServiceError(f"the server answered HTTP {response.status_code} ({kind}), not JSON") from exc
    while isinstance(envelope, dict) and isinstance(envelope.get("msg"), dict):
        envelope = envelope["msg"]
        if "prediction" in envelope:
            return dict(envelope)
    if not isinstance(envelope, dict) or not {"status", "msg", "results"} <= envelope.keys():
        shown = response.text[:_SHOWN_CHARACTERS]
        raise ServiceError(f"the server answered HTTP {response.status_code} with something else: {shown!r}")
    if envelope["status"] != "000":
        raise ServiceError(f"the server refused (status {envelope['status']}): {envelope['msg']}")
    results = envelope["results"]
    return results if isinstance(results, dict) else {}


def _is_prediction(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), list) for name in ("class_ids", "scores", "label_names")
    )


def _innermost(exc: BaseException) -> BaseException:
    """Of requests' and urllib3's nested errors the one that says something."""
    nested = [
        inner for inner in (getattr(exc, "reason", None), *exc.args) if isinstance(inner, BaseException)
    ]
    return _innermost(nested[0]) if nested else exc
