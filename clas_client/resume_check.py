"""Checks whether a results file may be resumed, by the settings recorded in a file beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from clas.commandline.appended_file import AppendedFile, OutputError

from .log import LOGGER

MODEL_PREFIX: Final = "model's "
"""Before the name of a setting that is the model's, not the client's."""


def check_settings(output: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Compare this run's settings with those that the results were made with.

    Args:
        output: The file of results to resume, if it exists.
        settings: Name -> value, as in JSON; without those that are unknown.

    Returns:
        The settings known before, updated by those known now.

    Raises:
        OutputError: They differ, can't be read, or the service doesn't describe its model any more.
    """
    if not output.exists():
        return dict(settings)
    file = _file_beside(output)
    noted = _read(file)
    if not noted:
        LOGGER.warning(
            "%s: the settings it was made with are unknown: %s is missing or damaged", output, file
        )
    if any(name.startswith(MODEL_PREFIX) and name not in settings for name in noted):
        raise OutputError(
            f"{output} was made with a model that the service doesn't describe now: try again when it is "
            f"ready, or remove {file} to resume anyway"
        )
    for name, before in noted.items():
        now = settings.get(name, before)
        if now != before:
            raise OutputError(
                f"{output} was made with another {name} ({before}; now it is {now}): "
                f"name another --output, or remove {file} to resume anyway"
            )
    return {**noted, **settings}


def note_settings(output: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings for a later run.

    Raises:
        OutputError: The file can't be written.
    """
    file = AppendedFile(_file_beside(output), is_new=True)
    file.append(json.dumps(dict(settings), indent=2).encode() + b"\n")
    file.close()


def _file_beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.run.json")


def _read(file: Path) -> dict[str, Any]:
    """Return what was noted; {} if nothing was, or the client was killed while writing it."""
    try:
        noted: Any = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    except OSError as exc:
        raise OutputError(f"{file} can't be read: {exc.strerror}") from exc
    return noted if isinstance(noted, dict) else {}
