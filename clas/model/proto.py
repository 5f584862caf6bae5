"""Builds classes for protobuf messages from the fields that are read; protobuf keeps or skips all others."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.message import Message

OPTIONAL: Final = 1
REQUIRED: Final = 2
REPEATED: Final = 3
"""FieldDescriptorProto.Label."""
INT64: Final = 3
INT32: Final = 5
STRING: Final = 9
BYTES: Final = 12
"""FieldDescriptorProto.Type."""

_MESSAGE: Final = 11

Field = tuple[str, int, int, int | str]
"""(name, number, label, type) of a field; a type is a number, or the name of a message."""


def message_classes(package: str, messages: Mapping[str, Sequence[Field]]) -> "Mapping[str, type[Message]]":
    """Build the classes of messages.

    Args:
        package: A name for all of them, that no other call has used.
        messages: The fields of each message, by its name.

    Returns:
        The classes by package and name, such as "package.Name".
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorProto  # noqa: PLC0415  # see module.py
    from google.protobuf.message_factory import GetMessages  # noqa: PLC0415  # in protobuf 3.20 to 7

    file = FileDescriptorProto(name=f"{package}/program.proto", package=package)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, label, kind in fields:
            field: Any = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = _MESSAGE, f".{package}.{kind}"
            else:
                field.type = kind
    return GetMessages([file])
