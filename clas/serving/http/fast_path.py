"""Lets predictions bypass Starlette's router and the exception middleware around it.

With the other shortcuts of the request path, the HTTP process takes 11.0 % of the model's CPU time in place
of 12.8 (benchmarks/README.md, the log).
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ...protocol import PREDICT_PATH
from .predict import Predict


class FastPath:
    """ASGI middleware that answers predictions itself.

    Args:
        app: Answers everything else.
        predict: The prediction endpoint.
    """

    def __init__(self, app: ASGIApp, predict: Predict) -> None:
        self._app = app
        self._predict = predict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == PREDICT_PATH and scope["method"] == "POST":
            response = await self._predict.respond(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)
