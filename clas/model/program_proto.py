"""Paddle's program and tensor messages, parsed without Paddle.

Declares the fields that clas_system reads; protobuf skips all others. Names, numbers and labels are those of
paddle/fluid/framework/framework.proto, with two exceptions: `lod_tensor` is called `dense_tensor` since
Paddle 3, and `data_type` is an enum there, whose unknown values an int32 keeps.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from .proto import INT32, INT64, OPTIONAL, REPEATED, REQUIRED, STRING, Field, message_classes

if TYPE_CHECKING:
    from google.protobuf.message import Message

_PACKAGE: Final = "clas_system"
_MESSAGES: Final[Mapping[str, tuple[Field, ...]]] = {
    "TensorDesc": (("data_type", 1, REQUIRED, INT32), ("dims", 2, REPEATED, INT64)),
    "DenseTensorDesc": (("tensor", 1, REQUIRED, "TensorDesc"),),
    "VarType": (("dense_tensor", 3, OPTIONAL, "DenseTensorDesc"),),
    "VarDesc": (("name", 1, REQUIRED, STRING), ("type", 2, REQUIRED, "VarType")),
    "OpVar": (("arguments", 2, REPEATED, STRING),),
    "OpDesc": (
        ("inputs", 1, REPEATED, "OpVar"),
        ("outputs", 2, REPEATED, "OpVar"),
        ("type", 3, REQUIRED, STRING),
    ),
    "BlockDesc": (("vars", 3, REPEATED, "VarDesc"), ("ops", 4, REPEATED, "OpDesc")),
    "ProgramDesc": (("blocks", 1, REPEATED, "BlockDesc"),),
}
ITEM_BYTES: Final[Mapping[int, int]] = {
    0: 1,  # BOOL
    1: 2,  # INT16
    2: 4,  # INT32
    3: 8,  # INT64
    4: 2,  # FP16
    5: 4,  # FP32
    6: 8,  # FP64
    20: 1,  # UINT8
    21: 1,  # INT8
    22: 2,  # BF16
}
"""Bytes of one value by TensorDesc.data_type (source: VarType.Type in framework.proto)."""

DTYPES: Final[Mapping[int, str]] = {
    0: "bool",
    1: "int16",
    2: "int32",
    3: "int64",
    4: "float16",
    5: "float32",
    6: "float64",
    20: "uint8",
    21: "int8",
    22: "bfloat16",
}
"""Name of the type by TensorDesc.data_type, likewise."""


def parse_program(data: bytes) -> "Message":
    """Parse the content of a .pdmodel file.

    Returns:
        A ProgramDesc.

    Raises:
        ValueError: The bytes are malformed.
    """
    return _parse("ProgramDesc", data)


def parse_tensor(data: bytes) -> "Message":
    """Parse the description of one tensor in a .pdiparams file.

    Returns:
        A TensorDesc: `data_type`, a key of ITEM_BYTES if its size is known, and `dims`.

    Raises:
        ValueError: The bytes are malformed.
    """
    return _parse("TensorDesc", data)


def _parse(name: str, data: bytes) -> "Message":
    from google.protobuf.message import DecodeError  # noqa: PLC0415  # see module.py on late imports

    try:
        return _message_classes()[f"{_PACKAGE}.{name}"].FromString(data)
    except (DecodeError, RecursionError) as exc:  # nested unknown groups, which protobuf 3 skips recursively
        raise ValueError(f"malformed {name}: {exc}") from exc


@functools.cache
def _message_classes() -> "Mapping[str, type[Message]]":
    return message_classes(_PACKAGE, _MESSAGES)
