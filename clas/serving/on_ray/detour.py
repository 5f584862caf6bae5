"""The way of what is below /v2/models to the application of its model.

Ray routes by one prefix for each application, which is /predict/NAME for that of a model. A request for
/v2/models/NAME/... is sent below that prefix by Ray's proxies, and has its own path again in the replica. All
of it may be below a root_path.
"""

import json
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...protocol import MODELS_PATH, PREDICTIONS_PATH

_ROUTES_PATH: Final = "/-/routes"  # where Ray's proxies tell prefix -> application
_ROUTES_S: Final = 1.0
_MODELS: Final = f"{MODELS_PATH}/"
_PREDICTIONS: Final = f"{PREDICTIONS_PATH}/"


class DetourMiddleware:
    """Sends what is below /v2/models to the application of the model, where it has one.

    Args:
        app: Ray's proxy.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._routes = _Routes(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and _MODELS in scope["path"]:
            base, _, rest = scope["path"].partition(_MODELS)
            prefix = f"{base}{_PREDICTIONS}{rest.partition('/')[0]}"
            if prefix in await self._routes.get():
                scope = {**scope, "path": f"{prefix}{scope['path']}"}
        await self._app(scope, receive, send)


def undo_detour(scope: Scope) -> Scope:
    """Return a scope with the path that the client has asked for, below no prefix of a model."""
    prefix: str = scope.get("root_path", "")
    base, has_prefix, _ = prefix.rpartition(_PREDICTIONS)
    if not has_prefix:
        return scope
    path: str = scope["path"]
    behind = path.removeprefix(prefix)
    return {**scope, "root_path": "", "path": behind if behind.startswith(f"{base}{_MODELS}") else path}


class _Routes:
    """The prefixes of the applications, as the proxy itself tells them.

    Args:
        app: The proxy.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._prefixes: frozenset[str] = frozenset()
        self._until = 0.0

    async def get(self) -> frozenset[str]:
        """Return them as they were a second ago, or less."""
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + _ROUTES_S
            self._prefixes = await self._ask()
        return self._prefixes

    async def _ask(self) -> frozenset[str]:
        body = bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            body.extend(message.get("body", b""))

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "query_string": b"",
        }
        await self._app({**scope, "path": _ROUTES_PATH, "root_path": "", "headers": []}, receive, send)
        try:
            routes = json.loads(body)
        except ValueError:  # the proxy doesn't know them yet, and says so in plain text
            return frozenset()
        return frozenset(routes) if isinstance(routes, dict) else frozenset()
