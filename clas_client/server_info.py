"""What a standalone server says about itself at `/`: how it preprocesses, and which model it has."""

from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import requests

from clas.errors import SettingsError
from clas.protocol import PREDICT_PATH
from clas.settings import PREPROCESS_NAMES, Settings, load_settings

from .reply import ServiceError, in_one_line
from .resume_check import MODEL_PREFIX
from .sender import Sender

_MODEL_FACTS: Final = (
    *("name", "input_shape", "classes", "preprocess"),
    *("output_name", "main_indicator", "threshold", "top_k", "softmax"),
)
_NOT_DESCRIBED: Final = (
    "it doesn't describe its preprocessing, as PaddleHub's server never does: remove --preprocess server, "
    "or let the server do all of it (--wire encoded)"
)


def fetch_preprocessing(sender: Sender, predict_url: str) -> Settings:
    """Return what a standalone server does to images.

    Args:
        sender: The connections to it.
        predict_url: The address for predictions; `/` is what precedes /predict/clas_system.

    Returns:
        Settings with the server's PREPROCESS_NAMES, and defaults for all else.

    Raises:
        ServiceError: The server can't be reached, refuses, or doesn't describe its preprocessing.
    """
    root = front_url(predict_url)
    reply = sender.get(root)
    try:
        content: Any = reply.json()
    except ServiceError:
        content = None
    if reply.status != requests.codes.ok or not isinstance(content, dict) or "model" not in content:
        reason = (
            f": {in_one_line(str(content['msg']))}{reply.hint}"
            if isinstance(content, dict) and "msg" in content
            else f"; {_NOT_DESCRIBED}"
        )
        raise ServiceError(f"{root} answered HTTP {reply.status}{reason}")
    if content["model"] is None:
        raise ServiceError(f"{root} is still loading its model: try again")
    described = content["model"].get("preprocess") if isinstance(content["model"], dict) else None
    if not isinstance(described, dict):
        raise ServiceError(f"{root} answered HTTP {reply.status}; {_NOT_DESCRIBED}")
    if missing := [name for name in PREPROCESS_NAMES if name not in described]:
        raise ServiceError(
            f"{root} doesn't describe its {missing[0]}: use the same version of client and server"
        )
    try:
        return load_settings(described, params={})
    except SettingsError as exc:
        raise ServiceError(f"{root} has a preprocessing that this client doesn't support: {exc}") from exc


def fetch_model_facts(sender: Sender, predict_url: str) -> dict[str, Any]:
    """Return the facts that identify the service's model; {} if the service doesn't describe it."""
    try:
        content: Any = sender.get(front_url(predict_url)).json()
    except ServiceError:  # PaddleHub's server has a page of HTML there
        return {}
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        return {}
    return {f"{MODEL_PREFIX}{name}": model[name] for name in _MODEL_FACTS if name in model}


def front_url(predict_url: str) -> str:
    """Return the address of a server's `/`, or of what precedes /predict/clas_system behind a proxy."""
    parts = urlsplit(predict_url)
    prefix = parts.path.rstrip("/").removesuffix(PREDICT_PATH)
    return urlunsplit((parts.scheme, parts.netloc, f"{prefix}/", "", ""))
