"""Read an answer of the service, without trusting anything in it."""

from typing import Any, Final, TypedDict

import requests

from clas.errors import ClasError
from clas.output.base import Prediction, is_finite_number, is_prediction

_SHOWN_CHARACTERS: Final = 200
_MOST_CHARACTERS: Final = 2000


class ServiceError(ClasError):
    """Raised when the service can't be reached, refuses a batch, or returns an invalid answer."""


class Results(TypedDict):
    """The results of a request: one entry per image, and the seconds that predicting took."""

    prediction: list[Prediction]
    elapse: float


def read_results(response: requests.Response) -> Results:
    """Take the results out of PaddleHub's envelope.

    In PaddleHub's own GPU mode the envelope always says "000", and its `msg` holds what the module returned:
    the results, or another envelope with the true status.

    Raises:
        ServiceError: The answer is a refusal, or isn't one of this service.
    """
    try:
        envelope: Any = response.json()
    except (ValueError, RecursionError) as exc:
        kind = response.headers.get("Content-Type", "no content type")
        raise ServiceError(f"the server answered HTTP {response.status_code} ({kind}), not JSON") from exc
    while isinstance(envelope, dict) and isinstance(envelope.get("msg"), dict):
        envelope = envelope["msg"]
        if "prediction" in envelope:
            envelope = {"status": "000", "msg": "", "results": envelope}
    if not isinstance(envelope, dict) or not {"status", "msg", "results"} <= envelope.keys():
        shown = in_one_line(response.text[:_SHOWN_CHARACTERS])
        raise ServiceError(
            f"the server answered HTTP {response.status_code} without status, msg and results: {shown}"
        )
    if envelope["status"] != "000":
        reason = f"status {envelope['status']}): {envelope['msg']}"
        raise ServiceError(f"the server refused ({in_one_line(reason)}")
    if response.status_code != requests.codes.ok:
        raise ServiceError(
            f"the server answered HTTP {response.status_code}, but with the status of a success"
        )
    results = envelope["results"]
    if not _are_results(results):
        shown = in_one_line(repr(results)[:_SHOWN_CHARACTERS])
        raise ServiceError(f"the server's answer has no valid prediction and elapse: {shown}")
    return results  # type: ignore[no-any-return]


def in_one_line(text: str) -> str:
    """Return a foreign text without line breaks and control characters, shortened if it is long."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MOST_CHARACTERS]


def _are_results(results: object) -> bool:
    return (
        isinstance(results, dict)
        and isinstance(results.get("prediction"), list)
        and all(is_prediction(entry) for entry in results["prediction"])
        and is_finite_number(results.get("elapse"))
    )
