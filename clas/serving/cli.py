"""`clas-serving start` and `stop`, the commands of `hub serving` without PaddleHub, and `status`."""

import dataclasses
import logging
import sys
from typing import Final

from ..commandline.flags import add_gpu_flag, add_setting_flags, help_of, metavar_of, type_of, whole_number
from ..commandline.parser import Parser
from ..errors import ClasError
from ..protocol import MODULE_NAME
from .launch import SETTING_FLAGS, plan_launch
from .log import set_up_log
from .options import ServerOptions
from .process.control import Control
from .process.health import health_of
from .process.listener import host_and_port
from .process.pidfile import find
from .process.stop import stop

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
        return _show_status()
    if args.command == "health":
        return _check_health()
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


def _show_status() -> int:
    """Print where the servers of this user listen; returns 1 if there is none."""
    running = [server for server in find() if server.is_running]
    for server in running:
        print(f"{host_and_port(server.address, server.port)}  process {server.pid}")
    if not running:
        print(_NO_SERVER, file=sys.stderr)
    return 0 if running else 1


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
    commands.add_parser("status", help="List the servers of this user that are running", allow_abbrev=False)
    help_text = "Ask the servers of this user whether they are live; for the health check of a container"
    commands.add_parser("health", help=help_text, allow_abbrev=False)
    stopping = commands.add_parser("stop", help="Stop the server at a port", allow_abbrev=False)
    stopping.add_argument(
        "--port",
        "-p",
        type=whole_number,
        default=ServerOptions.port,
        metavar="VALUE",
        help="Port (default: 8866)",
    )
    stopping.add_argument(
        "--host", metavar="VALUE", help="Address, if servers listen at several (default: the only one)"
    )
    return parser


def _add_start_flags(starting: Parser) -> None:
    """Add the flags of `start` by group: what is served, then how."""
    add = starting.group("model").add_argument
    help_text = "The config.json of `hub serving start`; flags that PaddleHub has, too, are ignored then"
    add("--config", "-c", metavar="FILE", help=help_text)
    help_text = f"{MODULE_NAME}, or {MODULE_NAME}==VERSION (default: {MODULE_NAME})"
    add("--modules", "-m", nargs="+", metavar="NAME", help=help_text)
    add_setting_flags(starting, SETTING_FLAGS)
    add_gpu_flag(starting, "Predict on the GPU")
    for field in dataclasses.fields(ServerOptions):
        names = [f"--{field.name}", *([_SHORT[field.name]] if field.name in _SHORT else [])]
        add = starting.group(field.metadata["group"]).add_argument
        if field.type is bool:
            add(*names, action="store_true", default=None, help=help_of(field))
        else:
            add(*names, type=type_of(field), metavar=metavar_of(field), help=help_of(field))
