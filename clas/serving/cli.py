"""`clas-serving start` and `clas-serving stop`: the commands of `hub serving`, without PaddleHub."""

import argparse
import dataclasses
import logging
import sys
from typing import Final

from ..commandline.flags import add_setting_flags, help_of, metavar_of, type_of
from ..errors import ClasError
from .launch import SETTING_FLAGS, plan_launch
from .log import set_up_log
from .options import ServerOptions
from .process.control import Control
from .process.stop import stop
from .start import start

_LOGGER: Final = logging.getLogger("clas_system")
_SHORT: Final = {"port": "-p", "workers": "-w", "gpu": "-i"}


def main(argv: list[str] | None = None, control: Control | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: The arguments; None for those of this process.
        control: To the parent; None if there is none.
    """
    args = _parser().parse_args(argv)
    set_up_log(ServerOptions())  # until the options are known
    if args.command == "stop":
        is_gone, sentence = stop(args.port, args.host)
        print(sentence, file=sys.stdout if is_gone else sys.stderr)
        return 0 if is_gone else 1
    try:
        return start(plan_launch(vars(args)), control or Control())
    except ClasError as exc:
        _LOGGER.critical("%s: %s", type(exc).__name__, exc)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clas-serving", description="The standalone server of clas_system.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start", help="Start a server, in the foreground", allow_abbrev=False)
    starting.add_argument(
        "--config",
        "-c",
        help="The config.json of `hub serving start`; flags that PaddleHub has, too, are ignored then",
    )
    starting.add_argument("--modules", "-m", nargs="+", help="clas_system, or clas_system==VERSION")
    starting.add_argument("--use_gpu", action="store_true", default=None, help="Predict on the GPU")
    for field in dataclasses.fields(ServerOptions):
        names = [f"--{field.name}", *([_SHORT[field.name]] if field.name in _SHORT else [])]
        if field.type is bool:
            starting.add_argument(*names, action="store_true", default=None, help=help_of(field))
        else:
            starting.add_argument(*names, type=type_of(field), metavar=metavar_of(field), help=help_of(field))
    add_setting_flags(starting, SETTING_FLAGS)
    stopping = commands.add_parser("stop", help="Stop the server at a port", allow_abbrev=False)
    stopping.add_argument(
        "--port", "-p", type=int, default=ServerOptions.port, metavar="VALUE", help="Port (default: 8866)"
    )
    stopping.add_argument(
        "--host", metavar="VALUE", help="Address, if servers listen at several (default: the only one)"
    )
    return parser
