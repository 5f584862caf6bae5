"""Reads the transform_ops of an inference.yml, as settings where these can say the same."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import SettingsError
from ..image.operation_readers import NORMALIZE, operation
from ..image.operation_settings import UNCHANGED, as_settings
from ..image.operations import read_operations

Values = dict[str, object]
"""Settings by name, not yet validated."""

_Options = dict[str, Any]


class InvalidEntryError(Exception):
    """Raised for an invalid or unsupported entry of the file; the message names it, but not the file."""


class Preprocessing(NamedTuple):
    """The content of the section PreProcess.

    Attributes:
        values: The settings that it gives: those of PREPROCESS_NAMES, or else transform_ops.
        notes: What is done although the file doesn't say it.
    """

    values: Values
    notes: tuple[str, ...] = ()


def read_preprocess(section: Mapping[str, Any]) -> Preprocessing:
    """Read PreProcess.transform_ops.

    Args:
        section: The section PreProcess.

    Raises:
        InvalidEntryError: An operation or option is invalid, not supported, or in the wrong place.
    """
    if "transform_ops" not in section:
        return Preprocessing({})
    try:
        listed, notes = read_operations(section["transform_ops"])
    except SettingsError as exc:
        raise InvalidEntryError(str(exc)) from exc
    if values := as_settings(listed):
        return Preprocessing(values, notes)
    nothing = operation(NORMALIZE, **UNCHANGED, channel_num=3)  # an empty list would stand for the settings
    return Preprocessing({"transform_ops": listed or (nothing,)}, notes)


def take(options: _Options, operation: str, **allowed: tuple[object, ...]) -> None:
    """Remove options that have only one supported meaning.

    Args:
        options: The options of the operation; changed in place.
        operation: Its name.
        **allowed: The supported values of each option, the default first.

    Raises:
        InvalidEntryError: An option has another value.
    """
    for name, values in allowed.items():
        value = options.pop(name, values[0])
        if value not in values:
            raise InvalidEntryError(f"{operation}.{name} is {value!r:.80}; only {values[0]!r} is supported")
