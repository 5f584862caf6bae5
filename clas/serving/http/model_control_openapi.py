"""The OpenAPI document's part about loading and unloading models."""

from typing import Final

from ...protocol import REPOSITORY_PATH
from .openapi_parts import ERROR, failure_response
from .openapi_schemas import REF, Schema, object_schema
from .request_body import JSON

SCHEME: Final = "admin_token"
"""The security scheme of these addresses: a token of admin_token_file."""


def describe_paths(name: str) -> Schema:
    """Return the descriptions of the addresses for a model of this name."""
    model = f"{REPOSITORY_PATH}/models/{name}"
    entries = {"type": "array", "items": {"$ref": f"{REF}RepositoryEntry"}}
    entry = {"$ref": f"{REF}RepositoryEntry"}
    only_ready = object_schema({"ready": {"type": "boolean"}}, ["ready"])
    return {
        f"{REPOSITORY_PATH}/index": {
            "post": _operation("index", "The models and their states", entries, ["400", "413"], only_ready)
        },
        f"{model}/load": {
            "post": _operation(
                "load",
                "Load a model from its folder as it is now",
                entry,
                ["400", "404", "409", "413", "501"],
            )
        },
        f"{model}/unload": {
            "post": _operation("unload", "Free a model", entry, ["400", "404", "413", "501"])
        },
    }


def component_schemas() -> Schema:
    """Return the schemas by name; the names of the fields are those of Triton's extension."""
    text = {"type": "string"}
    state = {**text, "enum": ["READY", "LOADING", "UNAVAILABLE"]}
    return {"RepositoryEntry": object_schema({"name": text, "version": text, "state": state, "reason": text})}


def _operation(
    operation: str, summary: str, answer: Schema, failures: list[str], body: Schema | None = None
) -> Schema:
    return {
        "summary": summary,
        "operationId": operation,
        "security": [{SCHEME: []}],
        "requestBody": {"content": {JSON: {"schema": body or object_schema({})}}},
        "responses": {
            "200": {"description": summary, "content": {JSON: {"schema": answer}}},
            **{code: failure_response(code, ERROR) for code in ["401", *failures]},
        },
    }
