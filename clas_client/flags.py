"""The client's flags: one per setting, and the argparse types that only the client has."""

import argparse
import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from clas.commandline.evaluation.metrics_file import FORMATS as METRICS_FORMATS
from clas.commandline.flags import existing, file_ending_in, help_of, integer_from, metavar_of, type_of
from clas.errors import SettingsError

from .results_file import FORMATS
from .settings import MAX_TIMEOUT_S, MIN_TIMEOUT_S, ClientSettings, check_flags

_ALIASES: Final = {"image_file": "--image_path", "timeout": "--timeout_s", "top_k": "--topk"}
_SWITCHES: Final = ("resume", "quiet", "labels_from_folders")
_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "what to send": ("server_url", "image_file", "token_file"),
    "how to send it": (
        *("batch_size", "concurrency", "timeout", "retries", "wire", "preprocess"),
        *("resize_short", "crop_size", "normalize", "to_chw", "reduced_decode"),
    ),
    "results": (),  # and whatever isn't named here
    "evaluation": ("label_file", "labels_from_folders", "metrics"),
}
"""Groups of flags in the help, in its order."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag per setting, in groups."""
    groups = {title: parser.add_argument_group(title) for title in _GROUPS}
    for field in dataclasses.fields(ClientSettings):
        if "help" not in field.metadata:
            continue
        names = [f"--{field.name}", *([_ALIASES[field.name]] if field.name in _ALIASES else [])]
        title = next((title for title, members in _GROUPS.items() if field.name in members), "results")
        add = groups[title].add_argument
        if field.name in _SWITCHES:
            add(*names, action="store_true", help=help_of(field))
            continue
        is_required = field.default is dataclasses.MISSING
        add(
            *names,
            required=is_required,
            default=None if is_required else field.default,
            type=_TYPES.get(field.name) or _type_of(field),
            choices=field.metadata.get("choices"),
            metavar=_METAVARS.get(field.name) or metavar_of(field),
            help=help_of(field),
        )


def read_flags(args: argparse.Namespace) -> ClientSettings:
    """Return the settings that parsed flags stand for.

    Raises:
        SettingsError: A value is out of range, flags exclude each other, or the token can't be read.
    """
    settings = ClientSettings(**vars(args))
    check_flags(settings)
    if settings.token_file:
        return dataclasses.replace(settings, token=read_token(settings.token_file))
    return settings


def url(text: str) -> str:
    """Parse a full URL of HTTP or HTTPS."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a URL such as http://127.0.0.1:8866/predict/clas_system"
        )
    return text


def seconds(text: str) -> float:
    """Parse a number of seconds that a connection can wait."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not MIN_TIMEOUT_S <= number <= MAX_TIMEOUT_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds from {MIN_TIMEOUT_S} to {MAX_TIMEOUT_S}"
        )
    return number


def read_token(path: Path) -> str:
    """Return the token in the first line of a file.

    Raises:
        SettingsError: There is none, or the file can't be read.
    """
    try:
        token = path.read_text(encoding="ascii").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"the token file {path} can't be read: {exc}") from exc
    if not token:
        raise SettingsError(f"the token file {path} has no token in its first line")
    return token


def _type_of(field: "dataclasses.Field[Any]") -> Any:  # noqa: ANN401  # any type of argparse
    if "range" in field.metadata:
        return partial(integer_from, field.metadata["range"][0])
    return type_of(field)


_METAVARS: Final = {
    "server_url": "URL",
    "image_file": "PATH",
    **dict.fromkeys(("output", "report", "label_file", "metrics", "token_file"), "FILE"),
}
_TYPES: Final[Mapping[str, Callable[[str], object]]] = {
    "server_url": url,
    "image_file": existing,
    "timeout": seconds,
    "output": file_ending_in(*FORMATS),
    "report": file_ending_in(".html"),
    "label_file": existing,
    "metrics": file_ending_in(*METRICS_FORMATS),
    "token_file": Path,
}
