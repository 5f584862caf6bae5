"""What `clas-serving status` and `reload` say of the servers of this user."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from ...errors import UnavailableError
from ...protocol import PREDICTIONS_PATH, REPOSITORY_PATH
from .listener import host_and_port
from .local_socket import ask
from .pidfile import RunningServer

_APART: Final = ("idle", "unloaded")
_ANSWER_S: Final = 10.0
_LOAD_S: Final = 660.0  # a little longer than a model may take to load


def describe(server: RunningServer) -> Iterator[str]:
    """Yield lines: where a server listens, and its models."""
    yield f"{host_and_port(server.address, server.port)}  process {server.pid}"
    try:
        models = _models(server)
    except UnavailableError as exc:
        yield f"  {exc}"
        return
    width = max((len(model["name"]) for model in models), default=0)
    for model in models:
        detail = {"ready": model["version"], "unavailable": model["reason"]}.get(model["state"], "")
        yield f"  {PREDICTIONS_PATH}/{model['name']:{width}}  {model['state']}  {detail}".rstrip()


def reload(server: RunningServer, names: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Load models again from their folders, one after the other.

    Args:
        server: The server.
        names: The models; empty for all but those that were unloaded, or are loaded when they are asked for.

    Yields:
        For each model, whether it could be loaded, and a sentence that says so.

    Raises:
        UnavailableError: The server can't be asked.
    """
    for name in names or [model["name"] for model in _models(server) if model["state"] not in _APART]:
        status, answer = ask(server, "POST", f"{REPOSITORY_PATH}/models/{quote(name, safe='')}/load", _LOAD_S)
        if status == HTTPStatus.OK:
            yield True, f"{name}: version {answer['version']} serves"
        else:
            yield False, f"{name}: {answer['error']}"


def answering(server: RunningServer) -> list[str]:
    """Return the names of the models that answer; empty if the server can't be asked."""
    try:
        return [model["name"] for model in _models(server) if model["state"] in ("ready", "idle")]
    except UnavailableError:
        return []


def _models(server: RunningServer) -> list[dict[str, Any]]:
    status, answer = ask(server, "GET", "/", _ANSWER_S)
    if status != HTTPStatus.OK:
        raise UnavailableError(f"process {server.pid} answered HTTP {status}")
    models: list[dict[str, Any]] = answer["models"]
    return models
