"""`python -m clas.serving.on_ray config.json`: write what `serve deploy` takes."""

import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from ...commandline.parser import Parser
from ...commandline.terminal import run_to_status, show_log
from .serve_file import make_serve_file

_LOGGER: Final = logging.getLogger("clas_system")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        argv: What follows the name of the command; None for that of this process.
    """
    parser = Parser(
        prog="python -m clas.serving.on_ray",
        description="Print what `serve deploy` takes for the models of a config.json, an application each.",
        allow_abbrev=False,
    )
    parser.add_argument("config", type=Path, metavar="FILE", help="The config.json of `hub serving start`")
    args = parser.parse_args(argv)
    show_log(logging.WARNING, "%(levelname)s: %(message)s")
    return run_to_status(partial(_run, args.config))


def _run(path: Path) -> int:
    made = make_serve_file(path)
    if made.left_out:
        _LOGGER.warning("left out, since Ray has its own: %s", ", ".join(made.left_out))
    sys.stdout.write(f"# Made of {path.name} by `python -m clas.serving.on_ray`; for `serve deploy`.\n")
    yaml.safe_dump(made.content, sys.stdout, sort_keys=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
