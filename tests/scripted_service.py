"""A real HTTP server on 127.0.0.1 that answers as a test says; for what a healthy service never does."""

import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np

from clas.protocol import decode


class Reply(NamedTuple):
    """What to answer to one request; a body that isn't bytes is sent as JSON."""

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


_POLL_S = 0.01  # how long its end may take; the default is half a second
PADDLEHUBS_FRONT = Reply(b"No visual interface is provided", 200, "text/html")


def envelope(results: Any = "", status: str = "000", msg: Any = "") -> dict[str, Any]:
    return {"status": status, "msg": msg, "results": results}


def predictions(count: int, elapse: float = 0.5, score: float = 0.75) -> dict[str, Any]:
    entry = {"class_ids": [7, 8], "scores": [score, 0.125], "label_names": ["seven", "eight"]}
    return {"prediction": [entry] * count, "elapse": elapse}


def answer_rightly(request: dict[str, Any]) -> Reply:
    return Reply(envelope(predictions(request["revert_params"]["shape"][0])))


class ScriptedService:
    """Counts and keeps the requests that came (`asked`: those without a body); `url` is its address."""

    def __init__(self, answer: Callable[[dict[str, Any]], Reply | None], front: Reply) -> None:
        self.requests: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits 40 ms until its head is acknowledged

            def do_GET(self) -> None:
                service.asked.append(self.path)
                self.give(front)

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.requests.append(request)
                service.connections.add(self.client_address)
                reply = answer(request)
                if reply is None:  # hang up
                    self.close_connection = True
                    return
                self.give(reply)

            def give(self, reply: Reply) -> None:
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(body)))
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients may hang up
        self.url = f"http://127.0.0.1:{self.server.server_port}/predict/clas_system"

    def tensors(self) -> list[np.ndarray[Any, Any]]:
        """The batches that came."""
        return [np.asarray(decode(request["images"], request["revert_params"])) for request in self.requests]


@contextmanager
def scripted_service(
    answer: Callable[[dict[str, Any]], Reply | None] = answer_rightly,
    front: Reply = PADDLEHUBS_FRONT,
) -> Iterator[ScriptedService]:
    """Run it; `front` is what it answers to GET."""
    service = ScriptedService(answer, front)
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": _POLL_S})
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        thread.join()
        service.server.server_close()


def peak_memory(answer: Callable[[dict[str, Any]], Reply], send: Callable[[str], object]) -> int:
    """The most bytes that Python held while `send`, called with the address of a service, was at work."""

    def forget(request: dict[str, Any]) -> Reply:
        reply = answer(request)
        request.clear()
        return reply

    tracemalloc.start()
    try:
        with scripted_service(forget) as service:
            send(service.url)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
