"""The OpenAPI description of the server, and the page that shows it."""

from typing import Any, Final

from ...protocol import OPERATIONS, VERSION
from ...settings import PREPROCESS_NAMES
from ..options import ServerOptions
from .middleware import PREDICT_PATH, REQUEST_ID_HEADER
from .request_body import JSON, MULTIPART

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/"
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
_TOP_K: Final = {
    "description": "Results per image; null or nothing for the service's setting",
    "type": "integer",
    "minimum": 1,
    "nullable": True,
    "example": 2,
}
_REFUSALS: Final = {
    "400": (
        "The request is unfit; `msg` names the field",
        "top_k is 0; it takes a whole number from 1 to 1000",
    ),
    "401": (
        "There is no valid token",
        "a valid token is needed: send the header 'Authorization: Bearer TOKEN'",
    ),
    "408": ("The body didn't come in time", "the body didn't come within 30 s (timeout_s)"),
    "413": (
        "The request is larger than the server takes",
        "the body has 200000000 bytes or more; max_request_bytes is 134217728",
    ),
    "415": (
        "The body is of a type that isn't read",
        "Content-Type is text/plain; send application/json, multipart/form-data, or an image as image/jpeg",
    ),
    "500": ("The model failed", "the model's scores for this batch hold NaN or infinity"),
    "503": ("Not now; `Retry-After` says when to ask again", "the queue is full: 512 of 512 images"),
}

DOCS_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>clas_system</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#ui"})</script>
</body>
</html>
"""


def describe_api(options: ServerOptions) -> Schema:
    """The OpenAPI 3.0 document of a server with these options."""
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
        "components": {"schemas": _schemas()},
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
        "properties": {"images": {"type": "array", "minItems": 1, "items": image}, "top_k": _TOP_K},
    }
    json_form = {
        "schema": {"oneOf": [{"$ref": f"{_REF}TensorRequest"}, {"$ref": f"{_REF}ImagesRequest"}]},
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
            "description": "There are results; an image that can't be decoded has an `error` instead",
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
                    "schema": {"$ref": f"{_REF}Answer"},
                    "example": {
                        "status": "000",
                        "msg": "",
                        "results": {"prediction": [_RESULT, _FAILED], "elapse": 0.0123},
                    },
                }
            },
        },
        **{code: _refusal(code) for code in _REFUSALS},
    }
    images = {kind: {"schema": image} for kind in ("image/jpeg", "image/png", "image/bmp", "image/webp")}
    return {
        "summary": "Classify images",
        "operationId": "predict",
        "parameters": [{"name": "top_k", "in": "query", "schema": {**_TOP_K, "nullable": False}}],
        "requestBody": {
            "required": True,
            "content": {JSON: json_form, MULTIPART: {"schema": form}, **images},
        },
        "responses": answers,
    }


def _get(summary: str, schema: str, *, unavailable: bool = False, with_token: bool = False) -> Schema:
    answers: Schema = {
        "200": {"description": summary, "content": {JSON: {"schema": {"$ref": f"{_REF}{schema}"}}}}
    }
    if unavailable:
        answers["503"] = _refusal("503")
    operation: Schema = {"summary": summary, "responses": answers}
    if with_token:
        answers["401"] = _refusal("401")
    else:
        operation["security"] = []
    return operation


def _metrics() -> Schema:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "summary": "Counts for Prometheus",
        "responses": {
            "200": {"description": "Prometheus' text format", "content": text},
            "401": _refusal("401"),
        },
    }


def _refusal(code: str) -> Schema:
    description, example = _REFUSALS[code]
    content = {"status": "101", "msg": example, "results": ""}
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": f"{_REF}Refusal"}, "example": content}},
    }


def _schemas() -> Schema:
    text, number, count = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
    shape = {"type": "array", "minItems": 1, "maxItems": 8, "items": {"type": "integer", "minimum": 1}}
    return {
        "TensorRequest": _object(
            {
                "images": {**text, "format": "byte", "description": "Base64 of the C-order bytes of a batch"},
                "revert_params": _object({"shape": shape, "dtype": {**text, "example": "float32"}}),
                "preprocess": {
                    "type": "array",
                    "items": {"type": "string", "enum": list(OPERATIONS)},
                    "description": "What the server is to do to the images, in this order, by what / tells.",
                },
                "top_k": _TOP_K,
            },
            optional=["preprocess", "top_k"],
        ),
        "ImagesRequest": _object(
            {
                "images": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "description": "Base64 of a JPEG, PNG, BMP or WebP file; anything else fails alone",
                        "example": "/9j/4AAQSkZJRgAB...",
                    },
                },
                "top_k": _TOP_K,
            },
            optional=["top_k"],
        ),
        "Prediction": _object(
            {
                "class_ids": {"type": "array", "items": count},
                "scores": {"type": "array", "items": number},
                "label_names": {"type": "array", "items": text},
                "error": text,
            },
            optional=["error"],
        ),
        "Answer": _object(
            {
                "status": {**text, "enum": ["000"]},
                "msg": {**text, "enum": [""]},
                "results": _object(
                    {
                        "prediction": {"type": "array", "items": {"$ref": f"{_REF}Prediction"}},
                        "elapse": {**number, "description": "Seconds spent predicting this request"},
                    }
                ),
            }
        ),
        "Refusal": _object(
            {"status": {**text, "enum": ["101"]}, "msg": text, "results": {**text, "enum": [""]}}
        ),
        "State": _object({"status": text}),
        "Service": {
            "type": "object",
            "properties": {
                "model": {
                    "type": "object",
                    "nullable": True,  # while it is being loaded
                    "required": ["input_shape", "classes", "preprocess", "inference_yml"],
                    "properties": {
                        "preprocess": {
                            "type": "object",
                            "description": "How images become the model's input, by the names of params.py",
                            "required": list(PREPROCESS_NAMES),
                        },
                        "inference_yml": {
                            "type": "boolean",
                            "description": "Whether an inference.yml beside the model was read",
                        },
                    },
                }
            },
            "required": ["name", "version", "state", "model", "workers", "predictors", "limits"],
        },
    }


def _object(properties: Schema, optional: list[str] | None = None) -> Schema:
    required = [name for name in properties if name not in (optional or [])]
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }
