"""A server in this process, at its own socket, where `clas-serving status` and `reload` ask it."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from clas.serving.launch import Launch
from clas.serving.models.served_model import State
from clas.serving.options import ServerOptions
from clas.serving.process.local_socket import open_socket
from clas.serving.process.pidfile import RunningServer, start_of
from clas.serving.process.server import Server, uvicorn_options
from clas.serving.service import build_service
from gates import wait_until
from served import SETTINGS, HeldRunner, settings_of


def running_at(scratch: Path, *, tls: bool = False) -> RunningServer:
    """What the pidfile of this process says if it is a server with these temporary files."""
    return RunningServer(
        pid=os.getpid(),
        started=start_of(os.getpid()),
        host="127.0.0.1",
        address="127.0.0.1",
        port=8866,
        tls=tls,
        graceful_timeout_s=1.0,
        scratch=str(scratch),
    )


@contextlib.contextmanager
def local_server(scratch: Path, repository: Path, **options: Any) -> Iterator[RunningServer]:
    """Serve the models of a repository during a block, at nothing but the socket in `scratch`."""
    launch = Launch(
        options=ServerOptions(model_repository=str(repository), **options),
        models={path.name: settings_of(path) for path in sorted(repository.iterdir())},
        overrides=SETTINGS,
    )
    service = build_service(launch, open_runner=HeldRunner)
    config = uvicorn.Config(
        service.app, **{**uvicorn_options(launch.options), "timeout_graceful_shutdown": 1}
    )
    server = Server(config, service.models, lambda: False)
    listener = open_socket(scratch)
    assert listener
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started)
        wait_until(lambda: State.LOADING not in [model.state for model in service.models])
        yield running_at(scratch, tls=bool(launch.options.tls_cert_file))
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
        assert service.models.close(10)
