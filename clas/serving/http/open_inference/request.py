"""Requests: what they hold, and what they ask for."""

import dataclasses
import reprlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ....errors import RequestError
from ....fields import refuse_unknown
from ....pipeline import Pipeline
from ..raw_json import NULL, read_object
from ..request_body import Inputs
from .input_tensor import HEADER_LENGTH, INPUT, read_input
from .outputs import RequestedOutput, read_outputs
from .parameters import Parameter, flag, read_parameters, read_value


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    inputs: msgspec.Raw
    outputs: msgspec.Raw = NULL
    id: msgspec.Raw = NULL
    parameters: msgspec.Raw = NULL
    model_name: msgspec.Raw = NULL


_FIELDS: Final = _Body.__struct_fields__
_decode_body: Final = msgspec.json.Decoder(_Body).decode


@dataclasses.dataclass(frozen=True)
class InferRequest:
    """One request.

    Attributes:
        id: To be returned; None if it has none.
        parameters: To be returned.
        outputs: What it asks for, in this order.
        inputs: Its images.
    """

    id: str | None
    parameters: Mapping[str, Parameter]
    outputs: Sequence[RequestedOutput]
    inputs: Inputs


def read_request(
    body: bytes, json_bytes: int | None, model_name: str, pipeline: Pipeline, max_images: int
) -> InferRequest:
    """Read a request.

    Args:
        body: JSON, which binary data may follow.
        json_bytes: The length of the JSON; None if nothing follows.
        model_name: The one in the address.
        pipeline: The model.
        max_images: The most image files.

    Raises:
        RequestError: It is invalid, or asks for what isn't supported.
    """
    if json_bytes is None:
        json_bytes = len(body)
    elif not 0 < json_bytes <= len(body):
        raise RequestError(
            f"{HEADER_LENGTH} is {json_bytes}, and the body has {len(body)} bytes; it is the length of the "
            "JSON, with which the body begins"
        )
    fields = read_object(
        _decode_body,
        body[:json_bytes],
        "the body",
        f"an object with {', '.join(_FIELDS)}",
        lambda name: refuse_unknown([name], _FIELDS, "the body", RequestError),
    )
    named = read_value("model_name", fields.model_name, str, "a text", model_name)
    if named != model_name:
        raise RequestError(f"model_name is {reprlib.repr(named)}, but the address has {model_name!r}")
    request_id = read_value("id", fields.id, str, "a text")
    parameters = read_parameters("parameters", fields.parameters)
    is_binary = flag("parameters.binary_data_output", parameters.pop("binary_data_output", False))
    images, operations = read_input(fields.inputs, memoryview(body)[json_bytes:], pipeline, max_images)
    top_k = parameters.get("top_k")
    return InferRequest(
        id=request_id,
        parameters=parameters,
        outputs=read_outputs(fields.outputs, pipeline.output, is_binary=is_binary),
        inputs=Inputs(images, top_k, operations, is_atomic=True, shape_field=f"{INPUT}.shape"),
    )
