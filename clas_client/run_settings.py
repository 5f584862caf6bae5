"""What a file of results was made with, in a small file beside it: --resume must not mix two kinds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .answer import ServiceError
from .appended_file import AppendedFile, OutputError
from .report import LOGGER
from .sender import Sender
from .service import front_url

_MODEL_FACTS: Final = (
    *("name", "input_shape", "classes", "preprocess"),
    *("main_indicator", "threshold", "top_k"),
)
_OF_MODEL: Final = "model's "


def ask_for_model(sender: Sender, predict_url: str) -> dict[str, Any]:
    """What tells the service's model from another, as a standalone server says at `/`; {} if it doesn't."""
    try:
        content: Any = sender.get(front_url(predict_url)).json()
    except (ServiceError, ValueError, RecursionError):  # PaddleHub's has a page of HTML there
        return {}
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        return {}
    return {f"{_OF_MODEL}{name}": model[name] for name in _MODEL_FACTS if name in model}


def check_settings(output: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Hold this run's settings against those that the results were made with.

    Args:
        output: The file of results to go on with, if it is there.
        settings: Name -> value, as JSON has it. What is unknown is left out.

    Returns:
        What was known of them before, and what they are now.

    Raises:
        OutputError: They differ, can't be read, or the service tells no more of its model.
    """
    if not output.exists():
        return dict(settings)
    file = _file_beside(output)
    noted = _read(file)
    if not noted:
        LOGGER.warning("%s: what it was made with can't be checked: %s is missing or damaged", output, file)
    if any(name.startswith(_OF_MODEL) and name not in settings for name in noted):
        raise OutputError(
            f"{output} was made with a model of which the service tells nothing now: try again when it is "
            f"ready, or remove {file} to go on all the same"
        )
    for name, before in noted.items():
        now = settings.get(name, before)
        if now != before:
            raise OutputError(
                f"{output} was made with another {name} ({before}; now it is {now}): "
                f"name another --output, or remove {file} to go on all the same"
            )
    return {**noted, **settings}


def note_settings(output: Path, settings: Mapping[str, Any]) -> None:
    """Note them for a later run.

    Raises:
        OutputError: The file can't be written.
    """
    file = AppendedFile(_file_beside(output), is_new=True)
    file.append(json.dumps(dict(settings), indent=2).encode() + b"\n")
    file.close()


def _file_beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.run.json")


def _read(file: Path) -> dict[str, Any]:
    """What was noted; {} if nothing was, or the client was killed while it noted it."""
    try:
        noted: Any = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    except OSError as exc:
        raise OutputError(f"{file} can't be read: {exc.strerror}") from exc
    return noted if isinstance(noted, dict) else {}
