"""Puts off Ctrl-C while a result is passed on."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Raise KeyboardInterrupt for Ctrl-C at the end of the block only; a second one raises it at once."""
    before = signal.getsignal(signal.SIGINT)
    is_handled_here = threading.current_thread() is threading.main_thread()  # Python's rule for signals
    if not callable(before) or not is_handled_here:  # it may be ignored, as in the background of a shell
        yield
        return
    was_interrupted = False

    def note(*_: object) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if was_interrupted:
        raise KeyboardInterrupt
