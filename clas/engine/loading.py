"""Says in the log that a model is still being loaded: native code may take minutes, or never return."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

_LOGGER: Final = logging.getLogger("clas_system")
_INTERVAL_S: Final = 10.0


@contextlib.contextmanager
def logged_while_loading(engine: str) -> Iterator[None]:
    """Log every 10 s, from a thread, that the block hasn't ended.

    Args:
        engine: The name of what loads.
    """
    is_over = threading.Event()
    start_s = time.monotonic()

    def log() -> None:
        while not is_over.wait(_INTERVAL_S):
            _LOGGER.warning(
                "still loading the model with %s, after %.0f s", engine, time.monotonic() - start_s
            )

    thread = threading.Thread(target=log, name="loading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
