"""Starts a server: its log, its socket, its directory for temporary files, and one process or workers."""

import errno
import logging
import os
import socket
import ssl
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from ..errors import SettingsError, StartupError
from .http.auth import load_guard
from .launch import Launch
from .log import set_up_log
from .metrics import Metrics
from .options import ServerOptions
from .process.control import Control, Facts
from .process.listener import host_and_port, listen, reachable_host, shown_host
from .process.local_socket import open_socket
from .process.pidfile import SCRATCH_PREFIX, RunningServer, announce, find, forget, start_of
from .process.remote import answering
from .process.server import StopSignals, serve_alone
from .service import build_service

_LOGGER: Final = logging.getLogger("clas_system")


def start(launch: Launch, control: Control) -> int:
    """Start a server, and serve until it is stopped.

    Args:
        launch: What is to be started.
        control: To the parent.

    Returns:
        The exit status.

    Raises:
        StartupError: It can't be started.
    """
    options = launch.options
    handler = set_up_log(options)
    _check_files(options)
    listener = _listener(options, control)
    address, port, *_ = listener.getsockname()  # chosen by the system if options.port is 0
    url = url_of(options, shown_host(options.host, listener), port)
    _LOGGER.info("listening at %s, workers: %d", url, max(1, launch.num_workers))
    StopSignals.install()  # from now on there is something to remove
    with _scratch() as scratch:
        pid = control.parent or os.getpid()
        server = RunningServer(
            pid=pid,
            started=start_of(pid),
            host=options.host,
            address=address,
            port=port,
            tls=bool(options.tls_cert_file),
            graceful_timeout_s=options.graceful_timeout_s,
            scratch=scratch,
        )
        if not control.takes_over:  # else the file still leads to the one that serves
            announce(server)
        control.listening(_facts(launch, server), listener)
        try:
            status = _serve(launch, handler, listener, control, server)
        finally:
            if not control.parent:  # which does it at its own end
                forget(server)
        _LOGGER.info("stopped")
        return status


def url_of(options: ServerOptions, host: str, port: int) -> str:
    """Return the address of a server as clients write it.

    Args:
        options: Read for TLS.
        host: Its address; one of IPv6 gets brackets.
        port: Its port.
    """
    scheme = "https" if options.tls_cert_file else "http"
    return f"{scheme}://{host_and_port(host, port)}"


def _answering_now(control: Control, server: RunningServer) -> list[str]:
    """Return the models of the process that this one is to follow: none of them may be lost by that."""
    return [name for other in find(server.port) if other.pid == control.parent for name in answering(other)]


def _on_ready(options: ServerOptions, control: Control, server: RunningServer) -> None:
    """Log the addresses that people open, at the end of a start."""
    if control.takes_over:
        announce(server)
    url = url_of(options, reachable_host(options.host), server.port)
    _LOGGER.info("ready: %s  page /ui  API /docs", url)


def _listener(options: ServerOptions, control: Control) -> socket.socket:
    """Return the socket of the processes before this one, or else a new one."""
    if control.listener:
        port: int = control.listener.getsockname()[1]
        if options.port not in (0, port):
            _LOGGER.warning(
                "port is %d now; the server stays at %d until it is restarted", options.port, port
            )
        return control.listener
    try:
        return listen(options.host, options.port)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise SettingsError(f"Port {options.port} is occupied, please change it.") from exc
        where = host_and_port(options.host, options.port)
        raise SettingsError(f"{where} can't be listened at: {exc.strerror}") from exc


def _scratch() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True)
    except OSError as exc:
        raise StartupError(
            f"there is no directory for temporary files: {exc.strerror}; name one in the variable TMPDIR"
        ) from exc


def _facts(launch: Launch, server: RunningServer) -> Facts:
    options = launch.options
    return Facts(
        workers=max(1, launch.num_workers),
        timeout_s=options.timeout_s,
        graceful_timeout_s=options.graceful_timeout_s,
        scratch=server.scratch,
        pidfile=str(server.file),
        log_format=options.log_format,
        log_level=options.log_level,
        log_file=options.log_file,
    )


def _serve(
    launch: Launch,
    handler: logging.Handler,
    listener: socket.socket,
    control: Control,
    server: RunningServer,
) -> int:
    scratch = Path(server.scratch)
    local = open_socket(scratch)
    listeners = [listener, local] if local else [listener]
    on_ready = partial(_on_ready, launch.options, control, server)
    required = _answering_now(control, server) if control.takes_over else []
    if launch.num_workers and sys.platform != "win32":
        from .process.supervisor import supervise  # noqa: PLC0415  # not on Windows
        from .process.worker import Deployment  # noqa: PLC0415

        deployment = Deployment(
            options=launch.options,
            num_workers=launch.num_workers,
            devices=launch.devices,
            build=lambda changes: build_service(
                launch,
                Metrics(control.restarts),
                open_changes=changes,
                required=() if deployment.is_complete else required,
            ),
            log_handlers=[handler],
            scratch=scratch,
            control=control,
            on_ready=on_ready,
        )
        return supervise(deployment, listeners)
    if launch.num_workers:
        _LOGGER.warning("there is one process only on Windows: use_multiprocess is ignored")
    if launch.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = launch.devices[0]
    return serve_alone(
        build_service(launch, Metrics(control.restarts), required=required), listeners, control, on_ready
    )


def _check_files(options: ServerOptions) -> None:
    """Report an invalid file now; each process reads these files for itself."""
    load_guard(options)
    if options.tls_cert_file:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.tls_cert_file, options.tls_key_file, password="")
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise SettingsError(
                f"tls_cert_file {options.tls_cert_file} with tls_key_file {options.tls_key_file} "
                f"can't be used: {exc}"
            ) from exc
