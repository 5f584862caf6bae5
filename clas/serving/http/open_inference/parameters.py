"""Values and parameters of a request: what they may be, and what isn't supported."""

import reprlib
from typing import Any, Final

import msgspec

from ....errors import RequestError
from ..raw_json import NULL, read_small

Parameter = str | int | float | bool

_UNSUPPORTED: Final = {
    **dict.fromkeys(("sequence_id", "sequence_start", "sequence_end"), "sequences"),
    **dict.fromkeys(
        ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"), "shared memory regions"
    ),
    "priority": "priorities",
    "timeout": "time limits of requests",
    "headers": "headers among the parameters",
}
_RESERVED: Final = "triton_"


def read_value(name: str, raw: msgspec.Raw, kind: Any, wanted: str, default: Any = None) -> Any:  # noqa: ANN401
    """Read a small value.

    Args:
        name: For messages.
        raw: The JSON.
        kind: The type that it has to have.
        wanted: That type in words.
        default: Returned for null, which stands for a missing value.

    Raises:
        RequestError: It is of another type.
    """
    return default if raw == NULL else checked(name, read_small(name, raw), kind, wanted)


def checked(name: str, value: object, kind: Any, wanted: str) -> Any:  # noqa: ANN401  # of that kind
    """Return a value read from JSON if it is of a type; see `read_value`.

    Raises:
        RequestError: It is of another type.
    """
    if type(value) is kind:
        return value
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise RequestError(f"{name} is {reprlib.repr(value)}; it takes {wanted}") from exc


def flag(name: str, value: object) -> bool:
    """Return a value read from JSON if it is true or false.

    Raises:
        RequestError: It is something else.
    """
    found: bool = checked(name, value, bool, "true or false")
    return found


def read_parameters(name: str, raw: msgspec.Raw) -> dict[str, Parameter]:
    """Read an object of parameters; see `check_parameters`."""
    return check_parameters(name, read_small(name, raw))


def check_parameters(name: str, value: object) -> dict[str, Parameter]:
    """Return parameters; none for None.

    Raises:
        RequestError: They aren't an object of texts, numbers and booleans, or ask for what isn't supported.
    """
    if value is None:
        return {}
    kind = dict[str, Parameter]
    parameters: dict[str, Parameter] = checked(name, value, kind, "an object of texts, numbers and booleans")
    for key in parameters:
        if key in _UNSUPPORTED:
            raise RequestError(f"{name} has {key!r}: {_UNSUPPORTED[key]} are not supported here")
        if key.startswith(_RESERVED):
            raise RequestError(f"{name} has {key[:80]!r}, which is not supported here")
    return parameters
