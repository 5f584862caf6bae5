"""`clas-serving start` and `stop`, the commands of `hub serving` without PaddleHub, `status` and `reload`."""

import dataclasses
import logging
import sys
from collections.abc import Sequence
from typing import Final

from ..commandline.flags import (
    SETTING_FLAGS,
    add_gpu_flag,
    add_setting_flags,
    boolean,
    help_of,
    metavar_of,
    type_of,
    whole_number,
)
from ..commandline.parser import Parser
from ..errors import ClasError, UnavailableError
from ..protocol import MODULE_NAME
from .launch import plan_launch
from .log import set_up_log
from .options import ServerOptions
from .process.control import Control
from .process.health import health_of
from .process.listener import host_and_port
from .process.pidfile import find
from .process.remote import describe, reload
from .process.stop import find_running, stop

_LOGGER: Final = logging.getLogger("clas_system")
_NO_SERVER: Final = "no server of clas_system of this user is running"
_SHORT: Final = {"port": "-p", "workers": "-w", "gpu": "-i"}


def main(argv: list[str] | None = None, control: Control | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: The arguments; None for those of this process.
        control: To the parent; None if there is none.
    """
    args = _parser().parse_args(argv)
    set_up_log(ServerOptions())  # until the options are known
    if args.command == "status":
        return _show_status(args.port, args.host)
    if args.command == "health":
        return _check_health()
    if args.command == "reload":
        return _reload(args.port, args.host, args.names)
    if args.command == "stop":
        is_gone, sentence = stop(args.port, args.host)
        print(sentence, file=sys.stdout if is_gone else sys.stderr)
        return 0 if is_gone else 1
    from .start import start  # noqa: PLC0415  # heavy, and `health` runs all the time

    try:
        return start(plan_launch(vars(args)), control or Control())
    except ClasError as exc:
        _LOGGER.critical("%s: %s", type(exc).__name__, exc)
        return 1


def _show_status(port: int | None, host: str | None) -> int:
    """Print where the servers of this user listen, and their models; returns 1 if there is none."""
    running = [server for server in find(port, host) if server.is_running]
    for server in running:
        print(*describe(server), sep="\n")
    if not running:
        at_port = f"no server of clas_system of this user is running at port {port}"
        print(_NO_SERVER if port is None else at_port, file=sys.stderr)
    return 0 if running else 1


def _reload(port: int, host: str | None, names: Sequence[str]) -> int:
    """Load models again, and print what became of each; returns 1 if one couldn't be loaded."""
    has_failed = False
    try:
        for is_loaded, sentence in reload(find_running(port, host), names):
            has_failed |= not is_loaded
            print(sentence, file=sys.stdout if is_loaded else sys.stderr, flush=True)
    except UnavailableError as exc:
        print(exc, file=sys.stderr)
        return 1
    return int(has_failed)


def _check_health() -> int:
    """Print whether the servers of this user are well; returns 1 if one isn't live, or there is none."""
    running = [server for server in find() if server.is_running]
    are_live = bool(running)
    for server in running:
        is_live, health = health_of(server)
        are_live = are_live and is_live
        print(f"{host_and_port(server.address, server.port)}  {health}")
    if not running:
        print(_NO_SERVER, file=sys.stderr)
    return 0 if are_live else 1


def _parser() -> Parser:
    parser = Parser(
        prog="clas-serving", description="The standalone server of clas_system.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_start_flags(
        commands.add_parser(
            "start",
            help="Start a server, in the foreground",
            description="Start a server, in the foreground.",
            usage="%(prog)s [-m clas_system | -c FILE] [FLAG ...]",
            allow_abbrev=False,
        )
    )
    status = commands.add_parser(
        "status", help="List the servers of this user that are running, and their models", allow_abbrev=False
    )
    _add_place(status, None, "all")
    help_text = "Ask the servers of this user whether they are live; for the health check of a container"
    commands.add_parser("health", help=help_text, allow_abbrev=False)
    reloading = commands.add_parser(
        "reload",
        help="Load models again from their folders, while the server answers",
        description="Load models again from their folders. The server answers meanwhile; a model that "
        "can't be loaded stays as it was.",
        allow_abbrev=False,
    )
    _add_place(reloading, ServerOptions.port, str(ServerOptions.port))
    reloading.add_argument("names", nargs="*", metavar="NAME", help="A model (default: all)")
    stopping = commands.add_parser("stop", help="Stop the server at a port", allow_abbrev=False)
    _add_place(stopping, ServerOptions.port, str(ServerOptions.port))
    return parser


def _add_place(parser: Parser, port: int | None, shown: str) -> None:
    """Add the flags that say which server is meant."""
    help_text = f"Port (default: {shown})"
    parser.add_argument("--port", "-p", type=whole_number, default=port, metavar="VALUE", help=help_text)
    help_text = "Address, if servers listen at several (default: the only one)"
    parser.add_argument("--host", metavar="VALUE", help=help_text)


def _add_start_flags(starting: Parser) -> None:
    """Add the flags of `start` by group: what is served, then how."""
    add = starting.group("model").add_argument
    help_text = "The config.json of `hub serving start`; flags that PaddleHub has, too, are ignored then"
    add("--config", "-c", metavar="FILE", help=help_text)
    help_text = f"{MODULE_NAME}, or {MODULE_NAME}==VERSION (default: {MODULE_NAME})"
    add("--modules", "-m", nargs="+", metavar="NAME", help=help_text)
    help_text = "A model and the name that it is served under; may be given several times"
    add("--model", action="append", metavar="NAME=FOLDER", help=help_text)
    add_setting_flags(starting, SETTING_FLAGS)
    add_gpu_flag(starting, "Predict on the GPU")
    for field in dataclasses.fields(ServerOptions):
        names = [f"--{field.name}", *([_SHORT[field.name]] if field.name in _SHORT else [])]
        add = starting.group(field.metadata["group"]).add_argument
        if field.type is bool:
            add(*names, nargs="?", const=True, type=boolean, metavar="{true,false}", help=help_of(field))
        else:
            add(*names, type=type_of(field), metavar=metavar_of(field), help=help_of(field))
