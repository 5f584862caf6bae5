"""The keys of params.py as flags of a command line."""

import argparse
import dataclasses
from collections.abc import Collection

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
            kind = _to_bool if leaf.type is bool else int if leaf.type is int else str
            leaves.add_argument(f"--{leaf.name}", type=kind, metavar="VALUE")


def _to_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"
