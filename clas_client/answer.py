"""Read an answer of the service, and take nothing in it for granted."""

import math
from typing import Any, Final, TypedDict

import requests

from clas.errors import ClasError
from clas.output.topk import Prediction

_SHOWN_CHARACTERS: Final = 200
_MOST_CHARACTERS: Final = 2000


class ServiceError(ClasError):
    """Raised when the service isn't there, refuses a batch, or answers something else."""


class Results(TypedDict):
    """What a good answer holds: one entry per image, and the seconds the service spent predicting."""

    prediction: list[Prediction]
    elapse: float


def read_results(response: requests.Response) -> Results:
    """Take the results out of PaddleHub's envelope.

    In PaddleHub's own GPU mode the envelope says "000" always, and what the module gave is in its `msg`: the
    results, or another envelope with the true status.

    Raises:
        ServiceError: The answer is a refusal, or no answer of this service.
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
        raise ServiceError(f"the server answered HTTP {response.status_code} with something else: {shown}")
    if envelope["status"] != "000":
        reason = f"status {envelope['status']}): {envelope['msg']}"
        raise ServiceError(f"the server refused ({in_one_line(reason)}")
    if response.status_code != requests.codes.ok:
        raise ServiceError(f"the server answered HTTP {response.status_code} with the status of a success")
    results = envelope["results"]
    if not _are_results(results):
        shown = in_one_line(repr(results)[:_SHOWN_CHARACTERS])
        raise ServiceError(f"the server's answer has no fit prediction and elapse: {shown}")
    return results  # type: ignore[no-any-return]


def in_one_line(text: str) -> str:
    """A foreign text without line breaks and control characters, and not too long."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MOST_CHARACTERS]


def _are_results(results: object) -> bool:
    return (
        isinstance(results, dict)
        and isinstance(results.get("prediction"), list)
        and all(is_prediction(entry) for entry in results["prediction"])
        and _is_number(results.get("elapse"))
    )


def is_prediction(entry: object) -> bool:
    """Whether this has the three lists of a picture's entry, with the right things in them."""
    if not isinstance(entry, dict):
        return False
    class_ids, scores, label_names = (entry.get(name) for name in ("class_ids", "scores", "label_names"))
    return (
        isinstance(class_ids, list)
        and all(type(class_id) is int for class_id in class_ids)
        and isinstance(scores, list)
        and all(_is_number(score) for score in scores)
        and isinstance(label_names, list)
        and all(isinstance(name, str) for name in label_names)
    )


def _is_number(value: object) -> bool:
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))
