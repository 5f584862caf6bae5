"""A reverse proxy that serves another server under a path prefix, which it strips or passes on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

_OF_ONE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding")


@contextmanager
def path_proxy(base: str, prefix: str, *, strips: bool = True, says: str | None = None) -> Iterator[str]:
    """Run it.

    Args:
        base: Address of the other server.
        prefix: Under which that is served; elsewhere the answer is 404.
        strips: Whether the other server gets paths without the prefix.
        says: Value of X-Forwarded-Prefix; None for what the client sends.

    Yields:
        Its address, with the prefix.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404)
                return
            path = self.path.removeprefix(prefix) if strips else self.path
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION
            }
            if says is not None:
                headers["X-Forwarded-Prefix"] = says
            answer = requests.request(
                self.command,
                f"{base}{path or '/'}",
                headers=headers,
                data=self.rfile.read(int(self.headers.get("Content-Length", 0))),
                timeout=60,
                allow_redirects=False,
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _OF_ONE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815  # http.server's

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        finally:
            server.shutdown()
            thread.join()
