"""Loads and unloads models on request, as Triton's model repository extension does."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import RequestError, TooLargeError, UnsupportedError
from ...protocol import REPOSITORY_PATH
from ..models.changes import Changes
from ..models.registry import Models
from ..models.served_model import ServedModel, State
from .responses import JsonResponse

_MAX_BODY_BYTES: Final = 4096
_STATES: Final = {State.READY: "READY", State.IDLE: "READY", State.LOADING: "LOADING"}


class ModelControl:
    """Answers the addresses of the extension.

    Args:
        models: The models.
        changes: Loads and unloads them; None where something else does.
    """

    def __init__(self, models: Models, changes: Changes | None) -> None:
        self._models = models
        self._changes = changes

    def routes(self) -> list[Route]:
        """Return where each of them is."""
        return [
            Route(f"{REPOSITORY_PATH}/index", self.index, methods=["POST"]),
            Route(f"{REPOSITORY_PATH}/models/{{name}}/load", self.load, methods=["POST"]),
            Route(f"{REPOSITORY_PATH}/models/{{name}}/unload", self.unload, methods=["POST"]),
        ]

    async def index(self, request: Request) -> Response:
        """The models and their states; those that are ready alone if the body says so."""
        self._changes_here()
        content = await _read(request)
        only_ready = content.pop("ready", False)
        if content or not isinstance(only_ready, bool):
            raise RequestError('the body takes nothing but "ready": true or false')
        entries = [_entry(model) for model in self._models]
        return JsonResponse([entry for entry in entries if entry["state"] == "READY" or not only_ready])

    async def load(self, request: Request) -> Response:
        """Load a model from its folder as it is now.

        Raises:
            NotFoundError: There is none of this name.
            ModelControlError: It can't be loaded.
        """
        changes, name = await self._check(request)
        await changes.load(name)
        return JsonResponse(_entry(self._models[name]))

    async def unload(self, request: Request) -> Response:
        """Free a model.

        Raises:
            NotFoundError: There is none of this name.
        """
        changes, name = await self._check(request)
        await changes.unload(name)
        return JsonResponse(_entry(self._models[name]))

    async def _check(self, request: Request) -> tuple[Changes, str]:
        """Check what is sent; returns what changes models, and the name of the model."""
        changes = self._changes_here()
        content = await _read(request)
        parameters = content.pop("parameters", None) or {}
        if content or parameters not in ({}, {"unload_dependents": False}):  # which Triton's client sends
            raise RequestError("the body takes nothing: models are loaded as their folders are")
        return changes, request.path_params["name"]

    def _changes_here(self) -> Changes:
        if self._changes is None:
            raise UnsupportedError("models are changed by the configuration here: use `serve deploy`")
        return self._changes


def _entry(model: ServedModel) -> dict[str, str]:
    state = _STATES.get(model.state, "UNAVAILABLE")
    return {"name": model.name, "version": model.version, "state": state, "reason": model.reason}


async def _read(request: Request) -> dict[str, object]:
    """Read a body that may be missing.

    Raises:
        RequestError: It isn't an object.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise TooLargeError(f"the body has more than {_MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        raise RequestError(f"the body isn't a JSON object: {exc}") from exc
