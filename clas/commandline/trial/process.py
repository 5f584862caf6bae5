"""Runs a function in a new process, which may use any amount of memory, print anything, or crash."""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...errors import ClasError, PredictionError
from ..terminal import LOGGER

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_Result = TypeVar("_Result")
_END_S: Final = 5.0
LIMIT_S: Final = 600.0
"""How long loading a model, and what is made of it, may take: some engines never load some models."""


def run_in_process(function: Callable[..., _Result], *args: object, limit_s: float = LIMIT_S) -> _Result:
    """Run a function in a new process; what it prints goes to the debug log.

    Args:
        function: One that can be pickled, as its arguments and its result.
        *args: Its arguments.
        limit_s: How long it may take; the process is ended then.

    Returns:
        What the function returns.

    Raises:
        ClasError: What the function raises; a PredictionError for any other exception, and if the process
            dies or takes too long.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share this process's threads and locks
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="clas-") as scratch:
        output = Path(scratch) / "output"
        process = context.Process(target=_work, args=(sender, output, function, args), daemon=True)
        process.start()
        sender.close()
        try:
            if receiver.poll(limit_s):
                outcome = receiver.recv()
                process.join(_END_S)
            else:
                outcome = PredictionError(f"the process that ran it hasn't come to an end in {limit_s:g} s")
        except EOFError:
            process.join()
            outcome = PredictionError(f"the process that ran it {_ending(process.exitcode)}")
        finally:
            receiver.close()
            process.kill()
            process.join()
            _log(output)
    if isinstance(outcome, ClasError):
        raise outcome
    result: _Result = outcome
    return result


def _work(
    sender: "Connection[Any, Any]", output: Path, function: Callable[..., object], args: tuple[object, ...]
) -> None:
    """The new process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C here, too; the parent ends this
    with output.open("ab") as file:  # of libraries' C++ code, too
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    outcome: object
    try:
        outcome = function(*args)
    except ClasError as exc:
        outcome = exc
    except Exception as exc:  # noqa: BLE001  # the edge of the process
        outcome = PredictionError(f"{type(exc).__name__}: {' '.join(str(exc).split()) or 'no message'}")
    with contextlib.suppress(BrokenPipeError):
        sender.send(outcome)


def _ending(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"has ended with status {exit_code}"


def _log(output: Path) -> None:
    with contextlib.suppress(OSError):
        for line in output.read_text(encoding="utf-8", errors="replace").splitlines():
            LOGGER.debug("%s", line)
