"""A predictor, and the one thread that loads, uses and replaces it."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from ...errors import StartupError
from .batcher import Batcher
from .runner import Runner

_LOGGER: Final = logging.getLogger("clas_system")
_BACK_OFF_S: Final = 5.0


class PoolMember:
    """Loads a model and serves with it; loads it again when it is lost.

    Args:
        batcher: The queue to serve.
        open_runner: Loads the model; called in the member's thread.
        on_failure: Called in that thread when the model can't be loaded; tells whether to try again.
        is_wide: See `wide_member`.

    Attributes:
        is_wide: As given; may be changed until the model is loaded.
        is_serving: Whether a model is loaded and takes requests.
        last_failure: Why the model couldn't be loaded, the last time; empty if it could.
    """

    def __init__(
        self,
        batcher: Batcher,
        open_runner: Callable[[], Runner],
        on_failure: Callable[[], bool],
        *,
        is_wide: bool = False,
    ) -> None:
        self.is_serving = False
        self._batcher = batcher
        self._open_runner = open_runner
        self._on_failure = on_failure
        self.is_wide = is_wide
        self.last_failure = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._main, name="predictor", daemon=True)

    def start(self) -> None:
        """Begin to load the model in the member's thread; returns at once."""
        if self._thread.ident is None and not self._closing.is_set():
            self._thread.start()

    def close(self) -> None:
        """Let the thread end once the queue is empty; returns at once."""
        self._closing.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end.

        Returns:
            Whether it has.
        """
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _main(self) -> None:
        while not self._closing.is_set():
            runner = self._load()
            if runner is not None and self._serve(runner):
                continue
            if runner is not None or self._on_failure():
                self._closing.wait(_BACK_OFF_S)
            else:
                return

    def _serve(self, runner: Runner) -> bool:
        """Serve until the pool closes or the model is lost; False, and a trace in the log, if that fails."""
        self.is_serving = True
        # An engine that runs several calls at once runs images faster side by side than as a batch.
        batch_size = runner.info.batch_limit if runner.info.concurrency == 1 else 1
        try:
            self._batcher.serve(runner.run, batch_size, lambda: not runner.is_alive, is_wide=self.is_wide)
            if not runner.is_alive and not self._closing.is_set():
                _LOGGER.warning("the model is lost: it is loaded again")
        except Exception:
            _LOGGER.critical("a predictor failed: its model is loaded again", exc_info=True)
            return False
        finally:
            self.is_serving = False
            runner.close()
        return True

    def _load(self) -> Runner | None:
        """Load the model; None, and a line in the log, if that fails; only one if it fails so each time."""
        try:
            runner = self._open_runner()
        except StartupError as exc:
            failure = str(exc)
            if failure != self.last_failure:
                _LOGGER.critical("%s: %s", type(exc).__name__, failure)
            self.last_failure = failure
            return None
        except Exception as exc:
            _LOGGER.critical("the model can't be loaded", exc_info=True)
            self.last_failure = f"{type(exc).__name__}: {exc}"
            return None
        self.last_failure = ""
        return runner
