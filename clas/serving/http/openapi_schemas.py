"""The schemas of the OpenAPI document."""

from typing import Any, Final

from ...protocol import OPERATIONS
from ...result_settings import RESULT_OPTIONS
from ...settings import PREPROCESS_NAMES
from ..models.served_model import State

Schema = dict[str, Any]

REF: Final = "#/components/schemas/"
TOP_K: Final = {
    "description": "Results per image; null or nothing for the service's setting",
    "type": "integer",
    "minimum": 1,
    "nullable": True,
    "example": 2,
}


def component_schemas() -> Schema:
    """Return the schemas of requests and responses by name."""
    text, number, count = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
    shape = {"type": "array", "minItems": 1, "maxItems": 8, "items": {"type": "integer", "minimum": 1}}
    return {
        "TensorRequest": object_schema(
            {
                "images": {**text, "format": "byte", "description": "Base64 of the C-order bytes of a batch"},
                "revert_params": object_schema({"shape": shape, "dtype": {**text, "example": "float32"}}),
                "preprocess": {
                    "type": "array",
                    "items": {"type": "string", "enum": list(OPERATIONS)},
                    "description": "Operations left to the server, in this order; / describes them",
                },
                "top_k": TOP_K,
            },
            optional=["preprocess", "top_k"],
        ),
        "ImagesRequest": object_schema(
            {
                "images": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "description": "Base64 of a JPEG, PNG, BMP or WebP file; anything else fails alone",
                        "example": "/9j/4AAQSkZJRgAB...",
                    },
                },
                "top_k": TOP_K,
            },
            optional=["top_k"],
        ),
        "Prediction": object_schema(
            {
                "class_ids": {"type": "array", "items": count},
                "scores": {"type": "array", "items": number},
                "label_names": {"type": "array", "items": text},
                "error": text,
                **_own_fields(),
            },
            optional=["error", *_own_fields()],
        ),
        "Answer": object_schema(
            {
                "status": {**text, "enum": ["000"]},
                "msg": {**text, "enum": [""]},
                "results": object_schema(
                    {
                        "prediction": {"type": "array", "items": {"$ref": f"{REF}Prediction"}},
                        "elapse": {**number, "description": "Seconds spent predicting this request"},
                    }
                ),
            }
        ),
        "Refusal": object_schema(
            {"status": {**text, "enum": ["101"]}, "msg": text, "results": {**text, "enum": [""]}}
        ),
        "State": object_schema({"status": text}),
        "Service": _service(),
        "Model": _model(),
    }


def _service() -> Schema:
    """What `/` says of the server."""
    text, count = {"type": "string"}, {"type": "integer", "minimum": 0}
    nothing = {"type": "object", "nullable": True, "enum": [None]}  # while it isn't loaded
    model = {"anyOf": [{"$ref": f"{REF}Model"}, nothing]}
    predictors = object_schema({"serving": count, "wanted": count})
    served = object_schema(
        {
            **dict.fromkeys(("name", "reason", "version", "predict"), text),
            "state": {**text, "enum": [state.value for state in State]},
            "predictors": predictors,
            "model": model,
        }
    )
    return {
        "type": "object",
        "properties": {"model": model, "models": {"type": "array", "items": served}},
        "required": ["name", "version", "state", "model", "models", "workers", "predictors", "limits"],
    }


def _model() -> Schema:
    """What `/` says of a loaded model."""
    text = {"type": "string"}
    return {
        "type": "object",
        "required": [
            "input_shape",
            "classes",
            "softmax",
            "warnings",
            "preprocess",
            "inference_yml",
        ],
        "properties": {
            "output_name": {**text, "description": "The model's output with the scores"},
            "main_indicator": {
                "type": "string",
                "enum": list(RESULT_OPTIONS),
                "description": "The form of the results",
            },
            "postprocess": {
                "type": "object",
                "description": "What that form reads, by the names of params.py",
            },
            "softmax": {
                "type": "boolean",
                "description": "Whether softmax is applied to that output",
            },
            "warnings": {
                "type": "array",
                "items": text,
                "description": "What may make results wrong, as in the log of the start",
            },
            "preprocess": {
                "type": "object",
                "description": "How images become the model's input, by the names of params.py; "
                "or these are null, and transform_ops has a list as in an inference.yml",
                "required": list(PREPROCESS_NAMES),
            },
            "inference_yml": {
                "type": "boolean",
                "description": "Whether an inference.yml beside the model was read",
            },
        },
    }


def _own_fields() -> Schema:
    """The fields that forms of results have beside the lists."""
    text, number = {"type": "string"}, {"type": "number"}
    texts, numbers = ({"type": "array", "items": items} for items in (text, number))
    answer = {"label": text, "class_id": {"type": "integer", "minimum": 0}, "score": number}
    return {
        "attributes": {
            "oneOf": [texts, text],
            "description": "What an attribute model says; VehicleAttribute in one text",
        },
        "output": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 1},
            "description": "Of an attribute model, for each output whether it is above its threshold",
        },
        "groups": {
            "type": "object",
            "additionalProperties": object_schema(answer),
            "description": "The answer of each group, by its name",
        },
        "value": {**number, "description": "Of ScoreOutput"},
        "feature": {
            "oneOf": [numbers, {**text, "format": "byte"}],
            "description": "Features, or base64 of their little-endian float32, with Binarize of bytes",
        },
    }


def object_schema(properties: Schema, optional: list[str] | None = None) -> Schema:
    """Return the schema of an object with these properties, all required but for the optional ones."""
    required = [name for name in properties if name not in (optional or [])]
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }
