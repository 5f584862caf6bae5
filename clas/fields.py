"""Dataclass fields that carry their range, their help and its group, and the check of their values."""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from .errors import ClasError, SettingsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Number = TypeVar("_Number", int, float)
_Parsed = TypeVar("_Parsed")
_Value = TypeVar("_Value", bool, str, str | None)


def plain(default: _Value, help_text: str, group: str = "") -> _Value:
    """A dataclass field of a string or a boolean."""
    metadata = {"help": help_text, "group": group}
    field: _Value = dataclasses.field(default=default, metadata=metadata)
    return field


def number(default: _Number, minimum: float, maximum: float, help_text: str, group: str = "") -> _Number:
    """A dataclass field of a number from `minimum` to `maximum`."""
    metadata = {"range": (minimum, maximum), "help": help_text, "group": group}
    field: _Number = dataclasses.field(default=default, metadata=metadata)
    return field


def numbers(
    default: tuple[_Number, ...],
    minimum: float,
    maximum: float,
    help_text: str,
    *,
    group: str = "",
    is_optional: bool = False,
) -> tuple[_Number, ...]:
    """A dataclass field of as many numbers as its default has; if optional, empty by default."""
    metadata = {
        "counts": (0, len(default)) if is_optional else (len(default),),
        "range": (minimum, maximum),
        "kind": type(default[0]),
        "help": help_text,
        "group": group,
    }
    field: tuple[_Number, ...] = dataclasses.field(default=() if is_optional else default, metadata=metadata)
    return field


def parsed(
    default: _Parsed,
    parse: Callable[[object], _Parsed],
    values: Mapping[str, str],
    help_text: str,
    group: str = "",
) -> _Parsed:
    """A dataclass field of a value that `parse` makes of what a file or a flag has.

    Args:
        default: As parsed.
        parse: Takes its own results, too; raises SettingsError.
        values: Language -> what the manual says of the values.
        help_text: For the manual and the command lines.
        group: Of its flag, in the help of the command lines.
    """
    metadata = {"parse": parse, "values": values, "help": help_text, "group": group}
    field: _Parsed = dataclasses.field(default=default, metadata=metadata)
    return field


def choice(*values: str, help_text: str, group: str = "") -> str:
    """A dataclass field of one of several words, the first by default."""
    metadata = {"choices": values, "help": help_text, "group": group}
    field: str = dataclasses.field(default=values[0], metadata=metadata)
    return field


def check_fields(settings: "DataclassInstance") -> None:
    """Check that each value is of its field's type (True is no number here) and in its range.

    A field that is `parsed` is replaced by what is made of it, in frozen settings, too.

    Raises:
        SettingsError: Names the field, its value, and what is valid.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if not field.metadata:
            continue
        if "parse" in field.metadata:
            object.__setattr__(settings, field.name, field.metadata["parse"](value))
        elif "counts" in field.metadata:
            _check_numbers(field, value)
        else:
            _check_value(field, value)


def _check_value(field: "dataclasses.Field[object]", value: object) -> None:
    types = (int, float) if field.type is float else field.type
    is_bool = isinstance(value, bool)
    if not isinstance(value, types) or is_bool != (field.type is bool):  # type: ignore[arg-type]
        raise SettingsError(f"{field.name} is {value!r}; it takes {_wanted(field)}")
    if "range" in field.metadata and isinstance(value, int | float):
        minimum, maximum = field.metadata["range"]
        if not minimum <= value <= maximum:
            raise SettingsError(
                f"{field.name} is {value}; it takes a number from {minimum:.10g} to {maximum:.10g}"
            )
    if "choices" in field.metadata and value not in field.metadata["choices"]:
        raise SettingsError(f"{field.name} is {value!r}; it takes {_wanted(field)}")


def _check_numbers(field: "dataclasses.Field[object]", value: object) -> None:
    types = {int: (int,), float: (int, float)}[field.metadata["kind"]]
    minimum, maximum = field.metadata["range"]
    is_valid = (
        isinstance(value, tuple)
        and len(value) in field.metadata["counts"]
        and all(type(item) in types and minimum <= item <= maximum for item in value)
    )
    if not is_valid:
        shown = list(value) if isinstance(value, tuple) else value
        raise SettingsError(f"{field.name} is {shown!r:.200}; it takes {_wanted(field)}")


def _wanted(field: "dataclasses.Field[object]") -> str:
    """Say in words what a field takes."""
    if "choices" in field.metadata:
        return " or ".join(field.metadata["choices"])
    if "counts" in field.metadata:
        *nothing, count = field.metadata["counts"]
        minimum, maximum = field.metadata["range"]
        whole = "whole " if field.metadata["kind"] is int else ""
        empty = ", or nothing" if nothing else ""
        return f"a list of {count} {whole}numbers from {minimum:.10g} to {maximum:.10g}{empty}"
    kinds: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number"}
    return kinds.get(field.type, "a string")


def refuse_unknown(
    names: Iterable[str], valid: Sequence[str], where: str, error: type[ClasError] = SettingsError
) -> None:
    """Raise an error for a name that isn't valid; it suggests the nearest one that is."""
    for name in names:
        if name not in valid:
            nearest = difflib.get_close_matches(name, valid, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"valid names: {', '.join(valid)}"
            raise error(f"{where} has an unknown name {name!r}; {hint}")
