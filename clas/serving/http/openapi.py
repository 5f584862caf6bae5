"""The OpenAPI document, and the page that shows it."""

from typing import Final

from ...protocol import PREDICT_PATH, VERSION
from ..options import ServerOptions
from .form import MULTIPART
from .middleware import REQUEST_ID_HEADER
from .openapi_schemas import REF, TOP_K, Schema, component_schemas
from .request_body import JSON

_RESULT: Final = {
    "class_ids": [657, 744],
    "scores": [0.32658, 0.18189],
    "label_names": ["missile", "projectile, missile"],
}
_FAILED: Final = {
    "class_ids": [],
    "scores": [],
    "label_names": [],
    "error": "the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP",
}
_FAILURES: Final = {
    "400": (
        "The request is invalid; `msg` names the field",
        "top_k is 0; it takes a whole number from 1 to 1000",
    ),
    "401": (
        "The token is missing or invalid",
        "a valid token is needed: send the header 'Authorization: Bearer TOKEN'",
    ),
    "408": ("The body didn't come in time", "the body didn't come within 30 s (timeout_s)"),
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


def describe_api(options: ServerOptions) -> Schema:
    """Return the OpenAPI 3.0 document of a server with these options."""
    description = (
        "Image classification with a model exported by PaddleClas. "
        f"A request takes up to {options.max_request_bytes} bytes and {options.timeout_s:g} s."
    )
    document: Schema = {
        "openapi": "3.0.3",
        "info": {"title": "clas_system", "version": VERSION, "description": description},
        "paths": {
            PREDICT_PATH: {"post": _predict()},
            "/": {"get": _get("What runs here: model, device, version, limits", "Service", with_token=True)},
            "/health/live": {"get": _get("Whether the process is well", "State", unavailable=True)},
            "/health/ready": {"get": _get("Whether requests are answered", "State", unavailable=True)},
            "/metrics": {"get": _metrics()},
        },
        "components": {"schemas": component_schemas()},
    }
    if options.token_file:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _predict() -> Schema:
    image = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": ["images"],
        "additionalProperties": False,
        "properties": {"images": {"type": "array", "minItems": 1, "items": image}, "top_k": TOP_K},
    }
    json_form = {
        "schema": {"oneOf": [{"$ref": f"{REF}TensorRequest"}, {"$ref": f"{REF}ImagesRequest"}]},
        "examples": {
            "tensor": {
                "summary": "Tensor form: one preprocessed batch (here 1 x 3 x 1 x 1)",
                "value": {
                    "images": "AAAAAAAAAAAAAAAA",
                    "revert_params": {"shape": [1, 3, 1, 1], "dtype": "float32"},
                },
            },
            "images": {
                "summary": "Encoded-image form: whole image files",
                "value": {"images": ["/9j/4AAQSkZJRgAB..."], "top_k": 2},
            },
        },
    }
    answers: Schema = {
        "200": {
            "description": "Results; an image that can't be decoded has an `error` instead",
            "headers": {
                REQUEST_ID_HEADER: {"schema": {"type": "string"}},
                "Server-Timing": {
                    "description": "Milliseconds: to prepare, in the queue, in the model",
                    "schema": {"type": "string"},
                    "example": "prepare;dur=3.1, queue;dur=0.2, predict;dur=12.6",
                },
            },
            "content": {
                JSON: {
                    "schema": {"$ref": f"{REF}Answer"},
                    "example": {
                        "status": "000",
                        "msg": "",
                        "results": {"prediction": [_RESULT, _FAILED], "elapse": 0.0123},
                    },
                }
            },
        },
        **{code: _failure_response(code) for code in _FAILURES},
    }
    images = {kind: {"schema": image} for kind in ("image/jpeg", "image/png", "image/bmp", "image/webp")}
    return {
        "summary": "Classify images",
        "operationId": "predict",
        "parameters": [{"name": "top_k", "in": "query", "schema": {**TOP_K, "nullable": False}}],
        "requestBody": {
            "required": True,
            "content": {JSON: json_form, MULTIPART: {"schema": form}, **images},
        },
        "responses": answers,
    }


def _get(summary: str, schema: str, *, unavailable: bool = False, with_token: bool = False) -> Schema:
    answers: Schema = {
        "200": {"description": summary, "content": {JSON: {"schema": {"$ref": f"{REF}{schema}"}}}}
    }
    if unavailable:
        answers["503"] = _failure_response("503")
    operation: Schema = {"summary": summary, "responses": answers}
    if with_token:
        answers["401"] = _failure_response("401")
    else:
        operation["security"] = []
    return operation


def _metrics() -> Schema:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "summary": "Metrics for Prometheus",
        "responses": {
            "200": {"description": "Prometheus' text format", "content": text},
            "401": _failure_response("401"),
        },
    }


def _failure_response(code: str) -> Schema:
    description, example = _FAILURES[code]
    content = {"status": "101", "msg": example, "results": ""}
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": f"{REF}Refusal"}, "example": content}},
    }
