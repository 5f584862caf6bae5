"""The predictor's owner: one thread that has the model loaded, and is the only one to use it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from ..classifier import Classifier
from ..errors import StartupError, UnavailableError
from ..model_files import ModelFiles
from ..predictor import AnyPredictor
from ..settings import Settings
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


class Engine:
    """A model that is being loaded, then serves; when its process dies or hangs, it is loaded again.

    Args:
        settings: What to load, and how to run it.
        batch_wait_s: How long a request may wait for others to join it.
        on_batch: Called with the size of each batch that went through the model.
        open_predictor: Loads the model, in the owner's thread.

    Attributes:
        classifier: What prepares and names; None until the model has been loaded once.
        batcher: The queue in front of the model.
        has_failed: The model couldn't be loaded at the start; the reason is in the log.
        is_loading: It is being loaded, for the first time or again.
    """

    def __init__(
        self,
        settings: Settings,
        batch_wait_s: float,
        on_batch: Callable[[int], None],
        open_predictor: Callable[[ModelFiles, Settings], Replaceable],
    ) -> None:
        self.classifier: Classifier | None = None
        self.batcher = Batcher(batch_wait_s, on_batch)
        self.has_failed = False
        self.is_loading = True
        self._settings = settings
        self._open_predictor = open_predictor
        self._predictor: Replaceable | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._main, name="predictor", daemon=True)

    def start(self) -> None:
        """Begin to load the model, in the owner's thread; returns at once."""
        if self._thread.ident is None:
            self._thread.start()

    def usable(self) -> Classifier:
        """The loaded model. Requests may be queued for it, even while it is being loaded again.

        Raises:
            UnavailableError: It was never loaded yet, or the server stops.
        """
        if self._closing.is_set():
            raise UnavailableError("the server is stopping")
        if self.classifier is None:
            raise UnavailableError("the model is being loaded")
        return self.classifier

    def close(self, timeout_s: float) -> bool:
        """Let the owner end when it has done what was asked for.

        Returns:
            Whether it ended in time.
        """
        self._closing.set()
        self.batcher.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _main(self) -> None:
        while not self._closing.is_set():
            classifier = self._load()
            if classifier is not None:
                self.classifier, self.is_loading = classifier, False
                self.batcher.serve(classifier.score, classifier.max_batch_size, self._is_lost)
                self.is_loading = True
            elif self.classifier is None:
                self.has_failed, self.is_loading = True, False
                return
            else:
                self._closing.wait(_BACK_OFF_S)
        if self._predictor is not None:
            self._predictor.close()

    def _is_lost(self) -> bool:
        return self._predictor is not None and not self._predictor.is_alive

    def _load(self) -> Classifier | None:
        start = time.perf_counter()
        try:
            classifier = Classifier(self._settings, open_predictor=self._open)
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
