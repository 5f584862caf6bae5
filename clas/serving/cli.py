"""`clas-serving start` and `clas-serving stop`: the commands of `hub serving`, without PaddleHub."""

import argparse
import dataclasses
import errno
import logging
import mmap
import os
import ssl
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from starlette.applications import Starlette

from ..commandline.flags import add_setting_flags
from ..errors import ClasError, SettingsError
from .batching.pool import Engine
from .batching.predictor_process import PredictorProcess
from .http.app import create_app
from .http.auth import load_tokens
from .launch import SETTING_FLAGS, Plan, make_plan
from .log import set_up_log
from .metrics import Metrics
from .options import ServerOptions
from .process.pidfile import SCRATCH_PREFIX, announced, find, forget
from .process.server import bind, serve_alone

_LOGGER: Final = logging.getLogger("clas_system")
_POLL_S: Final = 0.05
_SLACK_S: Final = 5.0
_HELP: Final = {
    "host": "address to listen at (default: 127.0.0.1; PaddleHub's is 0.0.0.0)",
    "port": "port (default: 8866)",
    "use_multiprocess": "several workers; not on Windows",
    "workers": "how many, with --use_multiprocess only (default: 2 x cores + 1)",
    "predictors": "model processes that share the requests of one worker (default: one a core, at most 4; "
    "1 with --use_multiprocess or on a GPU)",
    "gpu": "GPUs to use, such as 0 or 0,1; one worker for each",
    "timeout_s": "longest time for a request, and for one batch in the model (default: 30)",
    "graceful_timeout_s": "how long a stop waits for what is in flight (default: 30)",
    "batch_wait_ms": "how long a request may wait for others to join it (default: 0)",
    "max_queue_images": "images in the server at once; beyond them 503 (default: 512)",
    "max_queue_bytes": "bytes of bodies in the server at once; beyond them 503 (default: 536870912)",
    "max_request_bytes": "bytes of one body; beyond them 413 (default: 134217728)",
    "max_requests": "requests after which a worker is replaced (default: 0, never)",
    "token_file": "file with a bearer token a line",
    "tls_cert_file": "certificate chain, PEM",
    "tls_key_file": "private key of the certificate, PEM",
    "log_format": "text or json (default: text)",
    "log_level": "debug, info, warning, error or critical (default: info)",
    "log_file": "file for the log (default: stderr)",
}
_SHORT: Final = {"port": "-p", "workers": "-w", "gpu": "-i"}


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _parser().parse_args(argv)
    logging._srcfile = None  # noqa: SLF001  # where a line comes from: not shown; so in logging's documentation
    set_up_log(ServerOptions())  # until the true options are known
    try:
        return _start(make_plan(args)) if args.command == "start" else _stop(args.port)
    except ClasError as exc:
        _LOGGER.critical("%s: %s", type(exc).__name__, exc)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clas-serving", description="The standalone server of clas_system.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start a server, in the foreground", allow_abbrev=False)
    start.add_argument("--config", "-c", help="the config.json of `hub serving start`; it wins over flags")
    start.add_argument("--modules", "-m", nargs="+", help="clas_system, or clas_system==VERSION")
    start.add_argument("--use_gpu", action="store_true", default=None, help="predict on the GPU")
    for field in dataclasses.fields(ServerOptions):
        names = [f"--{field.name}", *([_SHORT[field.name]] if field.name in _SHORT else [])]
        if field.type is bool:
            start.add_argument(*names, action="store_true", default=None, help=_HELP[field.name])
        else:
            start.add_argument(*names, type=field.type, help=_HELP[field.name])
    add_setting_flags(start, SETTING_FLAGS)
    stop = commands.add_parser("stop", help="stop the server at a port", allow_abbrev=False)
    stop.add_argument("--port", "-p", type=int, default=ServerOptions.port, help=_HELP["port"])
    return parser


def _start(plan: Plan) -> int:
    options = plan.options
    handler = set_up_log(options)
    _check_files(options)
    try:
        listener = bind(options.host, options.port)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise SettingsError(f"Port {options.port} is occupied, please change it.") from exc
        raise SettingsError(f"{options.host}:{options.port} can't be listened at: {exc.strerror}") from exc
    scheme = "https" if options.tls_cert_file else "http"
    address = f"{scheme}://{options.host}:{options.port}"
    _LOGGER.info("listening at %s, workers: %d", address, max(1, plan.num_workers))
    build = partial(_build, plan)
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True) as scratch,
        announced(options.port, options.host, options.graceful_timeout_s, Path(scratch)),
    ):
        if plan.num_workers and sys.platform != "win32":
            from .process.supervisor import Deployment, supervise  # noqa: PLC0415  # not on Windows

            flags = mmap.mmap(-1, mmap.PAGESIZE)
            deployment = Deployment(
                *(options, plan.num_workers, plan.devices, build, [handler], Path(scratch), flags)
            )
            status = supervise(deployment, listener.fileno())
        else:
            if plan.num_workers:
                _LOGGER.warning("there is one process only on Windows: use_multiprocess is ignored")
            if plan.devices:
                os.environ["CUDA_VISIBLE_DEVICES"] = plan.devices[0]
            app, engine = build()
            status = serve_alone(app, engine, options, listener)
        _LOGGER.info("stopped")
        return status


def _check_files(options: ServerOptions) -> None:
    """Each process reads these files for itself; a slip in them is told now."""
    if options.token_file:
        load_tokens(Path(options.token_file))
    if options.tls_cert_file:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.tls_cert_file, options.tls_key_file, password="")
        except (OSError, ValueError) as exc:  # ssl.SSLError is the former
            raise SettingsError(
                f"tls_cert_file {options.tls_cert_file} with tls_key_file {options.tls_key_file} "
                f"can't be used: {exc}"
            ) from exc


def _build(plan: Plan) -> tuple[Starlette, Engine]:
    """What one process is made of."""
    options = plan.options
    metrics = Metrics()
    open_predictor = partial(PredictorProcess, options=options)
    engine = Engine(
        *(plan.settings, options.batch_wait_ms / 1000, metrics.batch_size.observe, open_predictor),
        plan.predictor_threads,
    )
    tokens = load_tokens(Path(options.token_file)) if options.token_file else None
    return create_app(options, engine, metrics, tokens, max(1, plan.num_workers)), engine


def _stop(port: int) -> int:
    state = find(port)
    if state is None:
        print(f"no server of clas_system is known at port {port}", file=sys.stderr)
        return 1
    process = state.process()
    if process is None:
        forget(port, state)
        print(f"the server at port {port} was gone already; what it left is cleaned up")
        return 0
    wait_s = state.graceful_timeout_s + _SLACK_S
    try:
        process.terminate()
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied:
        print(f"process {state.pid} at port {port} belongs to somebody else", file=sys.stderr)
        return 1
    deadline = time.monotonic() + wait_s
    while state.process():  # not Process.wait: it would wait for a zombie's parent, too
        if time.monotonic() > deadline:
            print(f"process {state.pid} at port {port} has not ended within {wait_s:g} s", file=sys.stderr)
            return 1
        time.sleep(_POLL_S)
    forget(port, state)  # if it had no time for that itself
    print(f"the server at port {port} has stopped")
    return 0
