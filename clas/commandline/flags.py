"""Flags of the command lines: the keys of params.py, and what the values of others may be."""

import argparse
import dataclasses
from collections.abc import Collection
from functools import partial
from pathlib import Path

from ..settings import Settings


def add_setting_flags(parser: argparse.ArgumentParser, names: Collection[str]) -> None:
    """Add a flag for each of the settings that are named; what isn't given is None.

    Args:
        parser: Where to.
        names: Those of settings.SETTING_NAMES that are to be flags.
    """
    leaves = parser.add_argument_group("settings of the model", "any key of params.py, which they beat")
    for leaf in dataclasses.fields(Settings):
        if leaf.name in names:
            kind = _to_bool if leaf.type is bool else leaf.type if leaf.type in (int, float) else str
            if "counts" in leaf.metadata:
                kind = partial(_to_numbers, leaf.metadata["kind"])
            leaves.add_argument(f"--{leaf.name}", type=kind, metavar="VALUE")


def existing(text: str) -> Path:
    """A file or folder that is there."""
    path = Path(text)
    try:
        is_there = bool(text) and path.exists()
    except OSError as exc:  # no permission, a name too long
        raise argparse.ArgumentTypeError(f"{text!r} can't be looked up: {exc.strerror}") from exc
    if not is_there:
        raise argparse.ArgumentTypeError(f"there is no file or folder {text!r}")
    return path


def positive(text: str) -> int:
    """A whole number from 1."""
    return number_from(1, text)


def number_from(minimum: int, text: str) -> int:
    """A whole number from `minimum`, which isn't negative."""
    if not text.isdecimal() or int(text) < minimum:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {minimum}")
    return int(text)


def _to_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _to_numbers(kind: type[float], text: str) -> list[float]:
    """Numbers with commas in between; an empty text has none."""
    try:
        return [kind(item) for item in text.split(",") if text]
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 1,2,3") from exc
