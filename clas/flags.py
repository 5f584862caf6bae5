"""The keys of params.py as flags of a command line."""

import argparse
import dataclasses
from collections.abc import Collection
from functools import partial

from .settings import Settings


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
