"""The OpenAPI document, and the page that shows it."""

from collections.abc import Sequence
from typing import Final

from ...protocol import PREDICTIONS_PATH, VERSION
from ..options import ServerOptions
from . import model_control_openapi as model_control
from .form import MULTIPART
from .inference import VERSION_HEADER
from .middleware import REQUEST_ID_HEADER
from .open_inference import openapi as open_inference
from .openapi_parts import BEARER, PREDICTION_FAILURES, failure_response, get_operation
from .openapi_schemas import REF, TOP_K, Schema, component_schemas
from .request_body import JSON

_MIB: Final = 2**20
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


def describe_api(options: ServerOptions, names: Sequence[str], prefix: str = "") -> Schema:
    """Return the OpenAPI 3.0 document of a server.

    Args:
        options: Read for limits and tokens.
        names: Those of its models; the addresses of one are written out, those of several have a parameter.
        prefix: What precedes all paths where the client is.
    """
    name = names[0] if len(names) == 1 else "{name}"
    limit = options.max_request_bytes
    size = f"{limit / _MIB:.4g} MiB" if limit >= _MIB else f"{limit} bytes"
    description = (
        "Image classification with a model exported by PaddleClas. "
        f"A request takes up to {size} and {options.timeout_s:g} s."
    )
    document: Schema = {
        "openapi": "3.0.3",
        "info": {"title": "clas_system", "version": VERSION, "description": description},
        "paths": {
            f"{PREDICTIONS_PATH}/{name}": {"post": _predict()},
            "/": {
                "get": get_operation(
                    "What runs here: model, device, version, limits", "Service", with_token=True
                )
            },
            "/health/live": {"get": get_operation("Whether the process is well", "State", unavailable=True)},
            "/health/ready": {
                "get": get_operation("Whether requests are answered", "State", unavailable=True)
            },
            "/metrics": {"get": _metrics()},
            **open_inference.describe_paths(name),
        },
        "components": {"schemas": {**component_schemas(), **open_inference.component_schemas()}},
    }
    schemes: Schema = {}
    if options.model_control:
        document["paths"] |= model_control.describe_paths(name)
        document["components"]["schemas"] |= model_control.component_schemas()
        schemes[model_control.SCHEME] = BEARER
    if len(names) != 1:
        _add_name(document, names)
    if prefix:
        document["servers"] = [{"url": prefix}]
    if options.token_file:
        schemes["token"] = BEARER
        document["security"] = [{"token": []}]
    if schemes:
        document["components"]["securitySchemes"] = schemes
    return document


def _add_name(document: Schema, names: Sequence[str]) -> None:
    """Add the parameter with the name of the model to the addresses that have one."""
    schema: Schema = {"type": "string", **({"enum": list(names)} if names else {})}
    parameter = {"name": "name", "in": "path", "required": True, "schema": schema}
    for path, item in document["paths"].items():
        if "{name}" in path:
            item["parameters"] = [parameter]


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
                VERSION_HEADER: {
                    "description": "Which files of the model answered",
                    "schema": {"type": "string"},
                    "example": "3f2a9c0d51b7",
                },
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
        **{code: failure_response(code) for code in PREDICTION_FAILURES},
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


def _metrics() -> Schema:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "summary": "Metrics for Prometheus",
        "responses": {
            "200": {"description": "Prometheus' text format", "content": text},
            "401": failure_response("401"),
        },
    }
