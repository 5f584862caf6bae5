"""One predictor and its owner, a thread that has it loaded, is the only one to use it, and replaces it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from ...classifier import Classifier
from ...engine.paddle import AnyPredictor
from ...errors import StartupError
from ...model.files import ModelFiles
from ...settings import Settings
from .batcher import Batcher

_LOGGER: Final = logging.getLogger("clas_system")
_BACK_OFF_S: Final = 5.0


class Replaceable(AnyPredictor, Protocol):
    """A predictor that may die, and be replaced."""

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked."""

    def close(self) -> None:
        """End it."""


OpenPredictor = Callable[[ModelFiles, Settings], Replaceable]


class Lane:
    """A model that is being loaded, then serves; when its process dies or hangs, it is loaded again.

    Args:
        settings: What to load, and how to run it.
        batcher: The queue that it serves.
        open_predictor: Loads the model, in the owner's thread.
        on_load: Called in the owner's thread when the model has been loaded; may raise StartupError.
        on_failure: Called in the owner's thread when it can't be loaded; tells whether to try again.
        is_wide: It takes all cores; others share them.

    Attributes:
        is_serving: It is neither being loaded nor ended.
    """

    def __init__(
        self,
        settings: Settings,
        batcher: Batcher,
        open_predictor: OpenPredictor,
        on_load: Callable[[Classifier], None],
        on_failure: Callable[[], bool],
        *,
        is_wide: bool = False,
    ) -> None:
        self.is_serving = False
        self._settings = settings
        self._batcher = batcher
        self._open_predictor = open_predictor
        self._on_load = on_load
        self._on_failure = on_failure
        self._is_wide = is_wide
        self._predictor: Replaceable | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._main, name="predictor", daemon=True)

    def start(self) -> None:
        """Begin to load the model, in the owner's thread; returns at once."""
        if self._thread.ident is None and not self._closing.is_set():
            self._thread.start()

    def close(self) -> None:
        """Let the owner end when the batcher has nothing left; returns at once."""
        self._closing.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the owner to end.

        Returns:
            Whether it has.
        """
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _main(self) -> None:
        try:
            self._serve()
        finally:  # a model may be there that can't be used
            if self._predictor is not None:
                self._predictor.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            classifier = self._load()
            if classifier is None:
                if not self._on_failure():
                    return
                self._closing.wait(_BACK_OFF_S)
                continue
            self.is_serving = True
            self._batcher.serve(
                classifier.score, classifier.max_batch_size, self._is_lost, is_wide=self._is_wide
            )
            self.is_serving = False

    def _is_lost(self) -> bool:
        return self._predictor is not None and not self._predictor.is_alive

    def _load(self) -> Classifier | None:
        start = time.perf_counter()
        try:
            classifier = Classifier(self._settings, open_predictor=self._open)
            self._on_load(classifier)
        except StartupError as exc:
            _LOGGER.critical("%s: %s", type(exc).__name__, exc)
            return None
        except Exception:
            _LOGGER.critical("the model can't be loaded", exc_info=True)
            return None
        _LOGGER.info("model loaded and warmed up in %.1f s", time.perf_counter() - start)
        return classifier

    def _open(self, files: ModelFiles, settings: Settings) -> Replaceable:
        if self._predictor is not None:
            self._predictor.close()
            self._predictor = None
        self._predictor = self._open_predictor(files, settings)
        return self._predictor
