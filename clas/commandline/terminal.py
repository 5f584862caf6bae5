"""What the command lines share on a terminal: the log on stderr, results on stdout."""

import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Final

from ..errors import ClasError

LOGGER: Final = logging.getLogger("clas_system")
INTERRUPTED: Final = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as in shells."""


def show_log(
    level: int = logging.INFO, form: str = "[%(asctime)s] [%(levelname)8s] - %(name)s: %(message)s"
) -> None:
    """Show the log on stderr, unless the calling program has already configured it.

    Args:
        level: The lowest level that is shown.
        form: The format of a line, for logging.Formatter.
    """
    if LOGGER.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(form))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level)
    LOGGER.propagate = False  # paddle adds a handler of its own to the root logger


def show_any_text() -> None:
    """Escape characters that the encoding of stdout or stderr lacks, rather than fail on them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_stdout() -> None:
    """Flush; on a broken pipe, redirect stdout so that the exit flush doesn't fail."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_to_status(work: Callable[[], int]) -> int:
    """Do the work of a command, and return its exit status; an error that ends it is logged in one line."""
    try:
        status = work()
        sys.stdout.flush()
    except ClasError as exc:
        LOGGER.critical("%s: %s", type(exc).__name__, exc)
        return 1
    except KeyboardInterrupt:
        flush_stdout()
        return INTERRUPTED
    except BrokenPipeError:
        flush_stdout()
        return 1
    return status
