"""The protocol's part of the OpenAPI document."""

from typing import Final

from ....protocol import MODELS_PATH, OPEN_INFERENCE_PATH
from ..openapi_parts import ERROR, PREDICTION_FAILURES, failure_response, get_operation
from ..openapi_schemas import REF, Schema, object_schema
from ..request_body import JSON
from .exchange import BINARY
from .input_tensor import HEADER_LENGTH

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_BINARY_LENGTH: Final = {
    "description": "The length of the JSON, if binary data follow it",
    "schema": {"type": "integer", "minimum": 1},
}
_EXAMPLE: Final = {
    "id": "42",
    "inputs": [{"name": "x", "shape": [1, 3, 1, 2], "datatype": "FP32", "data": [0.1, 0.2, 0, 0, -1, 1.5]}],
    "outputs": [{"name": "scores"}, {"name": "class_ids"}],
    "parameters": {"top_k": 1},
}
_ANSWER: Final = {
    "model_name": "clas_system",
    "outputs": [
        {"name": "scores", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]},
        {"name": "class_ids", "datatype": "INT64", "shape": [1, 1], "data": [1]},
    ],
    "id": "42",
    "parameters": {"top_k": 1},
}


def describe_paths(name: str) -> Schema:
    """Return the descriptions of the protocol's addresses for a model of this name."""
    root, model = OPEN_INFERENCE_PATH, f"{MODELS_PATH}/{name}"
    return {
        root: {"get": get_operation("The server", "ServerMetadata", with_token=True, error=ERROR)},
        f"{root}/health/live": {
            "get": get_operation("Whether the process is well", "ServerLive", unavailable=True, error=ERROR)
        },
        f"{root}/health/ready": {
            "get": get_operation("Whether all models answer", "ServerReady", unavailable=True, error=ERROR)
        },
        model: {"get": _of_model("The model", "ModelMetadata")},
        f"{model}/config": {
            "get": _of_model("The model's configuration, for Triton's clients", "ModelConfig")
        },
        f"{model}/ready": {"get": _of_model("Whether the model answers", "ModelReady")},
        f"{model}/stats": {"get": _of_model("Statistics", "ModelStatistics", unavailable=False)},
        f"{model}/infer": {"post": _infer()},
    }


def component_schemas() -> Schema:
    """Return the schemas of requests and responses by name; the names of the fields are the protocol's."""
    any_object = {"type": "object"}
    parameters = {
        **any_object,
        "nullable": True,
        "additionalProperties": {"anyOf": [_TEXT, {"type": "number"}, {"type": "boolean"}]},
    }
    shape = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1}}
    any_data: Schema = {"type": "array", "items": {}}
    output = object_schema(
        {
            "name": _TEXT,
            "datatype": {**_TEXT, "enum": ["FP32", "INT64", "BYTES"]},
            "shape": {"type": "array", "items": _COUNT},
            "data": {**any_data, "description": "In C order; not there if they are binary"},
            "parameters": object_schema({"binary_data_size": _COUNT}),
        },
        optional=["data", "parameters"],
    )
    return {
        "InferenceRequest": object_schema(
            {
                "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _input_schema(shape)},
                "outputs": {
                    "type": "array",
                    "nullable": True,
                    "items": object_schema({"name": _TEXT, "parameters": parameters}, ["parameters"]),
                },
                "id": {**_TEXT, "nullable": True},
                "parameters": parameters,
                "model_name": {**_TEXT, "nullable": True},
            },
            optional=["outputs", "id", "parameters", "model_name"],
        ),
        "InferenceResponse": object_schema(
            {
                "model_name": _TEXT,
                "outputs": {"type": "array", "items": output},
                "id": _TEXT,
                "parameters": any_object,
            },
            optional=["id", "parameters"],
        ),
        ERROR: object_schema({"error": _TEXT}),
        **_metadata_schemas(),
    }


def _input_schema(shape: Schema) -> Schema:
    return object_schema(
        {
            "name": {**_TEXT, "description": "As the metadata of the model have it", "example": "x"},
            "shape": shape,
            "datatype": {
                **_TEXT,
                "enum": ["FP32", "FP16", "FP64", "UINT8", "BYTES"],
                "description": "FP32: the model's tensor; UINT8: pixels [N, H, W, 3]; BYTES: image files [N]",
            },
            "data": {
                "type": "array",
                "nullable": True,
                "items": {},
                "description": "Numbers, flat or nested as the shape; of BYTES base64 texts",
            },
            "parameters": {
                **object_schema({"binary_data_size": _COUNT}, ["binary_data_size"]),
                "nullable": True,
            },
        },
        optional=["data", "parameters"],
    )


def _metadata_schemas() -> Schema:
    tensor = object_schema(
        {"name": _TEXT, "datatype": _TEXT, "shape": {"type": "array", "items": {"type": "integer"}}}
    )
    tensors = {"type": "array", "items": tensor}
    dims = {"type": "array", "items": {"type": "integer"}}
    configured = {
        "type": "array",
        "items": object_schema({"name": _TEXT, "data_type": _TEXT, "dims": dims}),
    }
    durations = {
        name: object_schema({"count": _COUNT, "ns": _COUNT})
        for name in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
    }
    statistics = object_schema(
        {
            "name": _TEXT,
            **dict.fromkeys(("last_inference", "inference_count", "execution_count"), _COUNT),
            "inference_stats": object_schema(durations),
            "batch_stats": {"type": "array", "items": {"type": "object"}},
        }
    )
    return {
        "ServerMetadata": object_schema(
            {"name": _TEXT, "version": _TEXT, "extensions": {"type": "array", "items": _TEXT}}
        ),
        "ServerLive": object_schema({"live": {"type": "boolean"}}),
        "ServerReady": object_schema({"ready": {"type": "boolean"}}),
        "ModelMetadata": object_schema(
            {"name": _TEXT, "platform": _TEXT, "inputs": tensors, "outputs": tensors}
        ),
        "ModelConfig": object_schema(
            {
                **dict.fromkeys(("name", "platform", "backend"), _TEXT),
                "max_batch_size": _COUNT,
                "input": configured,
                "output": configured,
                "dynamic_batching": {"type": "object"},
            }
        ),
        "ModelReady": object_schema({"name": _TEXT, "ready": {"type": "boolean"}}),
        "ModelStatistics": object_schema({"model_stats": {"type": "array", "items": statistics}}),
    }


def _of_model(summary: str, schema: str, *, unavailable: bool = True) -> Schema:
    operation = get_operation(summary, schema, unavailable=unavailable, with_token=True, error=ERROR)
    operation["responses"]["404"] = failure_response("404", ERROR)
    return operation


def _infer() -> Schema:
    binary = {"schema": {**_TEXT, "format": "binary"}}
    answer = {"schema": {"$ref": f"{REF}InferenceResponse"}, "example": _ANSWER}
    return {
        "summary": "Run the model, by the Open Inference Protocol",
        "operationId": "infer",
        "parameters": [{"name": HEADER_LENGTH, "in": "header", **_BINARY_LENGTH}],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"$ref": f"{REF}InferenceRequest"}, "example": _EXAMPLE},
                BINARY: binary,
            },
        },
        "responses": {
            "200": {
                "description": "The outputs: as JSON, or as binary data behind it where that was asked for",
                "headers": {HEADER_LENGTH: _BINARY_LENGTH},
                "content": {JSON: answer, BINARY: binary},
            },
            **{code: failure_response(code, ERROR) for code in PREDICTION_FAILURES},
        },
    }
