"""What the values of the client's own flags may be, as clas/flags.py has it for all: types of argparse."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from clas.commandline.flags import number_from

_BOOLS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def url(text: str) -> str:
    """A full address of HTTP or HTTPS."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address such as http://127.0.0.1:8866/predict/clas_system"
        )
    return text


def file_ending_in(*endings: str) -> Callable[[str], Path]:
    """Make a type of file names that end so, in upper or lower case."""

    def check(text: str) -> Path:
        if Path(text).suffix.lower() not in endings:
            raise argparse.ArgumentTypeError(f"{text!r} doesn't end in {' or '.join(endings)}")
        return Path(text)

    return check


def token(path: str) -> str:
    """The token in the first line of a file."""
    try:
        found = Path(path).read_text(encoding="ascii").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise argparse.ArgumentTypeError(f"the token file {path!r} can't be read: {exc}") from exc
    if not found:
        raise argparse.ArgumentTypeError(f"the token file {path!r} has no token in its first line")
    return found


def not_negative(text: str) -> int:
    """A whole number from 0."""
    return number_from(0, text)


def seconds(text: str) -> float:
    """A finite time, more than none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number


def boolean(text: str) -> bool:
    """True or False, in a few spellings."""
    if text.lower() not in _BOOLS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return _BOOLS[text.lower()]
