"""Read an answer of the service, without trusting anything in it."""

import json
from typing import Any, Final, TypedDict

import requests

from clas.output.base import Prediction, failed_prediction, is_finite_number, is_prediction

from .reply import Reply, ServiceError, in_one_line

_SHOWN_CHARACTERS: Final = 200


class Results(TypedDict):
    """The results of a request: one entry per image, and the seconds that predicting took."""

    prediction: list[Prediction]
    elapse: float


def read_results(reply: Reply) -> Results:
    """Take the results out of PaddleHub's envelope.

    In PaddleHub's own GPU mode the envelope always says "000", and its `msg` holds what the module returned:
    the results, or another envelope with the true status.

    Raises:
        ServiceError: The answer is a refusal, or isn't one of this service.
    """
    envelope: Any = reply.json()
    while isinstance(envelope, dict) and isinstance(envelope.get("msg"), dict):
        envelope = envelope["msg"]
        if "prediction" in envelope:
            envelope = {"status": "000", "msg": "", "results": envelope}
    if not isinstance(envelope, dict) or not {"status", "msg", "results"} <= envelope.keys():
        raise ServiceError(
            f"{reply.origin} answered HTTP {reply.status} without status, msg and results: {_shown(envelope)}"
        )
    if envelope["status"] != "000":
        reason = f"status {envelope['status']}): {envelope['msg']}"
        raise ServiceError(f"the server refused ({in_one_line(reason)}{reply.hint}")
    if reply.status != requests.codes.ok:
        raise ServiceError(f"the server answered HTTP {reply.status}, but with the status of a success")
    results = envelope["results"]
    if not _are_results(results):
        raise ServiceError(f"the server's answer has no valid prediction and elapse: {_shown(results)}")
    return {
        "prediction": [_without_line_breaks(entry) for entry in results["prediction"]],
        "elapse": results["elapse"],
    }


def _are_results(results: object) -> bool:
    return (
        isinstance(results, dict)
        and isinstance(results.get("prediction"), list)
        and all(is_prediction(entry) for entry in results["prediction"])
        and is_finite_number(results.get("elapse"))
    )


def _without_line_breaks(entry: Prediction) -> Prediction:
    """Put the service's reason why it has no result for an image in one line."""
    if "error" not in entry:
        return entry
    reason: object = entry["error"]  # of any type
    return failed_prediction(in_one_line(str(reason)) or "the server gives no reason")


def _shown(value: object) -> str:
    return in_one_line(json.dumps(value, ensure_ascii=False)[:_SHOWN_CHARACTERS])
