"""What `ray_routing.py` compares with: an ingress that hands each request on to the model's deployment."""

import asyncio
from typing import Any, Final

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clas.protocol import MODULE_NAME
from clas.serving.ray_app import Front, Replica

_PASSED_ON: Final = ("type", "http_version", "method", "path", "query_string", "headers")


class Behind(Replica):
    """A replica that gets its requests by a handle."""

    def __init__(self) -> None:
        super().__init__()
        self.app = Front()

    async def answer(self, scope: Scope, body: bytes) -> list[Message]:
        """Answer a request whose body is there."""
        messages: list[Message] = [{"type": "http.request", "body": body}]
        answer: list[Message] = []

        async def receive() -> Message:
            if not messages:
                await asyncio.Event().wait()  # nobody disconnects
            return messages.pop()

        async def send(message: Message) -> None:
            answer.append(message)

        await self.app(scope, receive, send)
        return answer


class Ingress:
    """The ASGI application of the ingress."""

    handle: DeploymentHandle[Any]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or Ray's lifespan events."""
        if scope["type"] == "lifespan":
            await Front()(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        answer: Any = self.handle.options(method_name="answer").remote(
            {name: scope[name] for name in _PASSED_ON}, body
        )
        for message in await answer:
            await send(message)


def _build() -> ASGIApp:
    return Ingress()


class _IngressReplica:
    app: Ingress  # from serve.ingress

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle

    def reconfigure(self, _: object) -> None:
        self.app.handle = self._handle


_MODEL: Final = serve.deployment(name=MODULE_NAME, user_config={}, max_ongoing_requests=64)(Behind)
_INGRESS: Final = serve.deployment(name="ingress", user_config={}, max_ongoing_requests=64)(
    serve.ingress(_build)(_IngressReplica)
)
behind_ingress: Final = _INGRESS.bind(_MODEL.bind())
