"""What a program on a terminal shows: our log on stderr, results on stdout."""

import io
import logging
import os
import sys
from typing import Final

LOGGER: Final = logging.getLogger("clas_system")
INTERRUPTED: Final = 130
"""The exit status after Ctrl-C: 128 + SIGINT, as shells have it."""


def show_log(
    level: int = logging.INFO, form: str = "[%(asctime)s] [%(levelname)8s] - %(name)s: %(message)s"
) -> None:
    """Show our log on stderr, unless the program around us has set it up already.

    Args:
        level: The least severe one that is shown.
        form: How a line looks, as logging.Formatter has it.
    """
    if LOGGER.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(form))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level)
    LOGGER.propagate = False  # paddle puts a handler of its own on the root logger


def show_any_text() -> None:
    """Let stdout and stderr show file names and labels that their encoding doesn't have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def let_go_of_stdout() -> None:
    """Write what is left in it; where nobody reads it, Python must not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
