"""`clas-serving start` and `clas-serving stop`: the commands of `hub serving`, without PaddleHub."""

import argparse
import dataclasses
import errno
import logging
import os
import ssl
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from ..commandline.flags import add_setting_flags, help_of, type_of
from ..errors import ClasError, SettingsError
from .fast_logging import shorten_log_records
from .http.auth import load_tokens
from .launch import SETTING_FLAGS, Launch, plan_launch
from .log import set_up_log
from .options import ServerOptions
from .process.pidfile import SCRATCH_PREFIX, announced, find, forget
from .process.server import bind, serve_alone
from .service import build_service

_LOGGER: Final = logging.getLogger("clas_system")
_POLL_S: Final = 0.05
_SLACK_S: Final = 5.0
_SHORT: Final = {"port": "-p", "workers": "-w", "gpu": "-i"}


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _parser().parse_args(argv)
    shorten_log_records()
    set_up_log(ServerOptions())  # until the options are known
    try:
        return _start(plan_launch(vars(args))) if args.command == "start" else _stop(args.port)
    except ClasError as exc:
        _LOGGER.critical("%s: %s", type(exc).__name__, exc)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clas-serving", description="The standalone server of clas_system.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="Start a server, in the foreground", allow_abbrev=False)
    start.add_argument(
        "--config",
        "-c",
        help="The config.json of `hub serving start`; flags that PaddleHub has, too, are ignored then",
    )
    start.add_argument("--modules", "-m", nargs="+", help="clas_system, or clas_system==VERSION")
    start.add_argument("--use_gpu", action="store_true", default=None, help="Predict on the GPU")
    for field in dataclasses.fields(ServerOptions):
        names = [f"--{field.name}", *([_SHORT[field.name]] if field.name in _SHORT else [])]
        if field.type is bool:
            start.add_argument(*names, action="store_true", default=None, help=help_of(field))
        else:
            start.add_argument(*names, type=type_of(field), metavar="VALUE", help=help_of(field))
    add_setting_flags(start, SETTING_FLAGS)
    stop = commands.add_parser("stop", help="Stop the server at a port", allow_abbrev=False)
    stop.add_argument(
        "--port", "-p", type=int, default=ServerOptions.port, metavar="VALUE", help="Port (default: 8866)"
    )
    return parser


def _start(launch: Launch) -> int:
    options = launch.options
    handler = set_up_log(options)
    _check_files(options)
    try:
        listener = bind(options.host, options.port)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise SettingsError(f"Port {options.port} is occupied, please change it.") from exc
        raise SettingsError(f"{options.host}:{options.port} can't be listened at: {exc.strerror}") from exc
    scheme = "https" if options.tls_cert_file else "http"
    port: int = listener.getsockname()[1]  # chosen by the system if options.port is 0
    address = f"{scheme}://{options.host}:{port}"
    _LOGGER.info("listening at %s, workers: %d", address, max(1, launch.num_workers))
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True) as scratch,
        announced(port, options.graceful_timeout_s, Path(scratch)),
    ):
        if launch.num_workers and sys.platform != "win32":
            from .process.supervisor import supervise  # noqa: PLC0415  # not on Windows
            from .process.worker import Deployment  # noqa: PLC0415

            deployment = Deployment(
                options=options,
                num_workers=launch.num_workers,
                devices=launch.devices,
                build=partial(build_service, launch),
                log_handlers=[handler],
                scratch=Path(scratch),
            )
            status = supervise(deployment, listener.fileno())
        else:
            if launch.num_workers:
                _LOGGER.warning("there is one process only on Windows: use_multiprocess is ignored")
            if launch.devices:
                os.environ["CUDA_VISIBLE_DEVICES"] = launch.devices[0]
            status = serve_alone(build_service(launch), listener)
        _LOGGER.info("stopped")
        return status


def _check_files(options: ServerOptions) -> None:
    """Report an invalid file now; each process reads these files for itself."""
    if options.token_file:
        load_tokens(Path(options.token_file))
    if options.tls_cert_file:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.tls_cert_file, options.tls_key_file, password="")
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise SettingsError(
                f"tls_cert_file {options.tls_cert_file} with tls_key_file {options.tls_key_file} "
                f"can't be used: {exc}"
            ) from exc


def _stop(port: int) -> int:
    server = find(port)
    if server is None:
        print(f"no server of clas_system was started at port {port} by this user", file=sys.stderr)
        return 1
    process = server.process()
    if process is None:
        forget(port, server)
        print(f"the server at port {port} was gone already; its files are cleaned up")
        return 0
    wait_s = server.graceful_timeout_s + _SLACK_S
    try:
        process.terminate()
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied:
        print(f"process {server.pid} at port {port} belongs to another user", file=sys.stderr)
        return 1
    deadline = time.monotonic() + wait_s
    while server.process():  # Process.wait would wait for a zombie's parent, too
        if time.monotonic() > deadline:
            print(f"process {server.pid} at port {port} has not ended within {wait_s:g} s", file=sys.stderr)
            return 1
        time.sleep(_POLL_S)
    forget(port, server)  # if it had no time to do so itself
    print(f"the server at port {port} has stopped")
    return 0
