"""Flags of the command lines: their argparse types, and those that a dataclass's fields become."""

import argparse
import dataclasses
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..errors import SettingsError
from ..settings import SETTING_FIELDS, SETTING_NAMES
from .parser import Parser

SETTING_FLAGS: Final = tuple(name for name in SETTING_NAMES if name != "use_gpu")
"""The settings whose flags take a value; use_gpu has one that takes none, see `add_gpu_flag`."""
LONGEST_S: Final = 3600
"""The most seconds that `seconds` takes."""
_ALIASES: Final = {"topk": ("--top_k",), "model_name": ("--name",)}
"""Setting -> the name that its flag has everywhere, before the setting's own."""
_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def add_setting_flags(parser: Parser, names: Collection[str]) -> None:
    """Add a flag per setting, in the group of its field; its value is None where it isn't given.

    Args:
        parser: The parser.
        names: Those of settings.SETTING_NAMES to add.
    """
    for field in SETTING_FIELDS:
        if field.name in names:
            parser.group(field.metadata["group"]).add_argument(
                *_ALIASES.get(field.name, ()),
                f"--{field.name}",
                dest=field.name,
                type=type_of(field),
                metavar=metavar_of(field),
                help=help_of(field, with_default=False),  # params.py has the defaults
            )


def add_gpu_flag(parser: Parser, help_text: str) -> None:
    """Add --use_gpu, which takes no value; that of params.py holds where it isn't given."""
    parser.group("model").add_argument("--use_gpu", action="store_true", default=None, help=help_text)


def given_settings(args: argparse.Namespace, names: Collection[str]) -> dict[str, object]:
    """Return the settings that were given as flags, by name."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def help_of(field: "dataclasses.Field[Any]", *, with_default: bool = True) -> str:
    """Return the help of a dataclass field, for argparse.

    Args:
        field: The field.
        with_default: Append the field's default, if there is one worth showing.
    """
    text: str = field.metadata["help"]
    has_none = field.default in ("", (), None, dataclasses.MISSING) or field.default is False
    if has_none or not with_default:
        return text.replace("%", "%%")
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    shown = f"{default:.10g}" if isinstance(default, float) else str(default)
    shown = shown.lower() if isinstance(default, bool) else shown
    return f"{text} (default: {shown})".replace("%", "%%")


def metavar_of(field: "dataclasses.Field[Any]") -> str:
    """Return what the help shows for a flag's value: the words that it takes, if there are only some."""
    words = ("true", "false") if field.type is bool else field.metadata.get("choices")
    return f"{{{','.join(words)}}}" if words else "VALUE"


def type_of(field: "dataclasses.Field[Any]") -> Any:  # noqa: ANN401  # any type of argparse
    """Return the argparse type of a dataclass field's flag."""
    if "parse" in field.metadata:
        return partial(_parsed, field.metadata["parse"])
    if "counts" in field.metadata:
        return partial(number_list, field.metadata["kind"])
    if field.type is bool:
        return boolean
    if field.type is int:
        return whole_number
    return decimal_number if field.type is float else str


def existing(text: str) -> Path:
    """Parse the path of an existing file or folder."""
    path = Path(text)
    try:
        is_there = bool(text) and path.exists()
    except OSError as exc:  # no permission, a name too long
        raise argparse.ArgumentTypeError(f"{text!r} can't be looked up: {exc.strerror}") from exc
    if not is_there:
        raise argparse.ArgumentTypeError(f"there is no file or folder {text!r}")
    return path


def file_ending_in(*endings: str) -> Callable[[str], Path]:
    """Return a parser of file names with one of these endings, in upper or lower case."""

    def file_name(text: str) -> Path:
        if Path(text).suffix.lower() not in endings:
            raise argparse.ArgumentTypeError(f"{text!r} doesn't end in {' or '.join(endings)}")
        return Path(text)

    return file_name


def whole_number(text: str) -> int:
    """Parse an integer."""
    try:
        return int(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from exc


def decimal_number(text: str) -> float:
    """Parse a number."""
    try:
        return float(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from exc


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    return integer_from(1, text)


def seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to {LONGEST_S}")
    return value


def integer_from(minimum: int, text: str) -> int:
    """Parse an integer of at least `minimum`, 0 or more."""
    if not text.isdecimal() or int(text) < minimum:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {minimum}")
    return int(text)


def boolean(text: str) -> bool:
    """Parse a boolean."""
    if text.lower() not in _BOOLEANS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return _BOOLEANS[text.lower()]


def _parsed(parse: Callable[[object], object], text: str) -> object:
    """Parse a value by the function of its setting."""
    try:
        return parse(text)
    except SettingsError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def number_list(kind: type[float], text: str) -> list[float]:
    """Parse comma-separated numbers; an empty text gives none."""
    try:
        return [kind(item) for item in text.split(",") if text]
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1,2,3") from exc
