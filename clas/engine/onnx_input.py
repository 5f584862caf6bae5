"""Changes the shape that an ONNX model declares for its input, which ONNX Runtime insists on."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ModelLoadError
from ..model.program import Tensor
from ..model.proto import BYTES, INT64, OPTIONAL, REPEATED, STRING, Field, message_classes

if TYPE_CHECKING:
    from google.protobuf.message import Message

_PACKAGE: Final = "clas_system.onnx"
_MESSAGES: Final[Mapping[str, tuple[Field, ...]]] = {
    "Dimension": (("dim_value", 1, OPTIONAL, INT64), ("dim_param", 2, OPTIONAL, STRING)),
    "Shape": (("dim", 1, REPEATED, "Dimension"),),
    "TensorType": (("shape", 2, OPTIONAL, "Shape"),),
    "Type": (("tensor_type", 1, OPTIONAL, "TensorType"),),
    "ValueInfo": (("name", 1, OPTIONAL, STRING), ("type", 2, OPTIONAL, "Type")),
    "Graph": (("input", 11, REPEATED, "ValueInfo"), ("value_info", 13, REPEATED, BYTES)),
    "Model": (("graph", 7, OPTIONAL, "Graph"),),
}
"""The fields of onnx.proto that are changed; protobuf keeps all others as they are."""


def with_input_shape(program: Path | bytes, image: Tensor) -> bytes:
    """Return the content of a model with another shape of its input.

    Args:
        program: inference.onnx, or its content.
        image: The input, by its name, and its new shape; None where any size is accepted.

    Raises:
        ModelLoadError: The file can't be read, or isn't an ONNX model.
    """
    from google.protobuf.message import DecodeError, EncodeError  # noqa: PLC0415  # see module.py

    try:
        content = program if isinstance(program, bytes) else program.read_bytes()
        model: Any = _model_class().FromString(content)
        for value in model.graph.input:
            if value.name == image.name:
                _set_shape(value.type.tensor_type.shape, image)
        del model.graph.value_info[:]  # the shapes between the layers, which are inferred anew
        changed: bytes = model.SerializeToString()
    except (OSError, DecodeError, EncodeError, ValueError) as exc:
        raise ModelLoadError(f"inference.onnx can't be changed to another size of images: {exc}") from exc
    return changed


def _set_shape(shape: Any, image: Tensor) -> None:  # noqa: ANN401  # a message
    for axis, (dim, size) in enumerate(zip(shape.dim, image.shape, strict=True)):
        if size is not None:
            dim.ClearField("dim_param")
            dim.dim_value = size
        elif not dim.dim_param:
            dim.ClearField("dim_value")
            dim.dim_param = f"any_{axis}"


@functools.cache
def _model_class() -> "type[Message]":
    return message_classes(_PACKAGE, _MESSAGES)[f"{_PACKAGE}.Model"]
