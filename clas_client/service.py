"""Ask a service how it preprocesses, so that the client can do the same."""

from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import requests

from clas.errors import SettingsError
from clas.settings import PREPROCESS_NAMES, Settings, load_settings

from .answer import ServiceError, in_one_line
from .sender import Sender

_PREDICT_PATH: Final = "/predict/clas_system"
_NOT_TOLD: Final = (
    "it doesn't tell its preprocessing, as PaddleHub's server never does: leave out --preprocess server, "
    "or have the server do it all (--wire encoded)"
)


def fetch_preprocessing(sender: Sender, predict_url: str) -> Settings:
    """Read at `/` of a standalone server what it does to images.

    Args:
        sender: The connections to it.
        predict_url: Where predictions are asked for; `/` is what stands before /predict/clas_system.

    Returns:
        Settings with the server's PREPROCESS_NAMES, and the defaults for all else.

    Raises:
        ServiceError: It can't be reached, refuses, or doesn't tell.
    """
    root = front_url(predict_url)
    response = sender.get(root)
    try:
        content: Any = response.json()
    except (ValueError, RecursionError):
        content = None
    if response.status_code != requests.codes.ok or not isinstance(content, dict) or "model" not in content:
        reason = (
            f": {in_one_line(str(content['msg']))}"
            if isinstance(content, dict) and "msg" in content
            else f"; {_NOT_TOLD}"
        )
        raise ServiceError(f"{root} answered HTTP {response.status_code}{reason}")
    if content["model"] is None:
        raise ServiceError(f"{root} is still loading its model: try again")
    told = content["model"].get("preprocess") if isinstance(content["model"], dict) else None
    if not isinstance(told, dict):
        raise ServiceError(f"{root} answered HTTP {response.status_code}; {_NOT_TOLD}")
    if missing := [name for name in PREPROCESS_NAMES if name not in told]:
        raise ServiceError(
            f"{root} doesn't tell its {missing[0]}: client and server are of different versions"
        )
    try:
        return load_settings(told, params={})
    except SettingsError as exc:
        raise ServiceError(f"{root} preprocesses in a way that this client doesn't know: {exc}") from exc


def front_url(predict_url: str) -> str:
    """Where a service tells of itself: `/`, or what stands before /predict/clas_system behind a proxy."""
    parts = urlsplit(predict_url)
    prefix = parts.path.rstrip("/").removesuffix(_PREDICT_PATH)
    return urlunsplit((parts.scheme, parts.netloc, f"{prefix}/", "", ""))
