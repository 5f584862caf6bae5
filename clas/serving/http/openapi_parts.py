"""Descriptions that the OpenAPI document has of many addresses."""

from typing import Final

from .openapi_schemas import REF, Schema
from .request_body import JSON

ENVELOPE: Final = "Refusal"
"""The schema of errors in PaddleHub's envelope."""
ERROR: Final = "InferenceError"
"""The schema of errors in the Open Inference Protocol."""
BEARER: Final = {"type": "http", "scheme": "bearer"}
"""The way in which tokens are sent."""
FAILURES: Final = {
    "400": (
        "The request is invalid; the message names the field",
        "top_k is 0; it takes a whole number from 1 to 1000",
    ),
    "401": (
        "The token is missing or invalid",
        "a valid token is needed: send the header 'Authorization: Bearer TOKEN'",
    ),
    "408": ("The body didn't come in time", "the body didn't come within 30 s (timeout_s)"),
    "404": ("There is no such model", "there is no model 'rose'; this server has clas_system"),
    "409": (
        "The model can't be loaded; the one before still answers",
        "the model rose can't be loaded: rose holds no file inference.pdiparams",
    ),
    "413": (
        "The request is too large",
        "the body has 200000000 bytes or more; max_request_bytes is 134217728",
    ),
    "415": (
        "The content type or encoding isn't supported",
        "Content-Type is text/plain; send application/json, multipart/form-data, or an image as image/jpeg",
    ),
    "500": ("The model failed", "the model's scores for this batch hold NaN or infinity"),
    "501": (
        "The transfer coding isn't supported",
        "Transfer-Encoding is gzip, chunked; it takes chunked alone: send the body as it is",
    ),
    "503": ("Not now; `Retry-After` says when to retry", "the queue is full: 512 of 512 images"),
}
PREDICTION_FAILURES: Final = tuple(code for code in FAILURES if code != "409")
"""The codes of FAILURES with which predictions may be answered."""


def get_operation(
    summary: str, schema: str, *, unavailable: bool = False, with_token: bool = False, error: str = ENVELOPE
) -> Schema:
    """Return the description of an address that answers GET in JSON.

    Args:
        summary: What it tells.
        schema: The name of its answer's schema.
        unavailable: Whether it may answer 503.
        with_token: Whether it needs a token, if the server has tokens.
        error: The name of the schema of its errors: ENVELOPE or ERROR.
    """
    answers: Schema = {
        "200": {"description": summary, "content": {JSON: {"schema": {"$ref": f"{REF}{schema}"}}}}
    }
    if unavailable:
        answers["503"] = failure_response("503", error)
    operation: Schema = {"summary": summary, "responses": answers}
    if with_token:
        answers["401"] = failure_response("401", error)
    else:
        operation["security"] = []
    return operation


def failure_response(code: str, error: str = ENVELOPE) -> Schema:
    """Return the description of an error; see `get_operation`."""
    description, example = FAILURES[code]
    envelope = {"status": "101", "msg": example, "results": ""}
    content = envelope if error == ENVELOPE else {"error": example}
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": f"{REF}{error}"}, "example": content}},
    }
