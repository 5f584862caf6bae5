"""The predictor's owner: one thread that loads the model and is the only one to run it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from ..classifier import Classifier
from ..errors import StartupError, UnavailableError
from ..settings import Settings
from .batcher import Batcher

_LOGGER: Final = logging.getLogger("clas_system")


class Engine:
    """A model that is being loaded, then serves.

    Args:
        settings: What to load, and how to run it.
        batch_wait_s: How long a request may wait for others to join it.
        on_batch: Called with the size of each batch that went through the model.
        load: Builds the classifier; by default `Classifier`.

    Attributes:
        classifier: The loaded model; None until then.
        has_failed: The model can't be loaded; the reason is in the log.
    """

    def __init__(
        self,
        settings: Settings,
        batch_wait_s: float,
        on_batch: Callable[[int], None],
        load: Callable[[Settings], Classifier] = Classifier,
    ) -> None:
        self.classifier: Classifier | None = None
        self.has_failed = False
        self._settings = settings
        self._batch_wait_s = batch_wait_s
        self._on_batch = on_batch
        self._load = load
        self._batcher: Batcher | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._main, name="predictor", daemon=True)

    @property
    def beats(self) -> int:
        """Goes up while the owner is well; stands still while it loads or runs the model."""
        return self._batcher.beats if self._batcher else 0

    @property
    def busy_s(self) -> float:
        """How long the model has been at the batch that it is at; 0 if it is at none."""
        return self._batcher.busy_s if self._batcher else 0

    @property
    def is_loading(self) -> bool:
        """Whether the model isn't loaded yet, but may be in a while."""
        return self._batcher is None and not self.has_failed

    def start(self) -> None:
        """Begin to load the model, in the owner's thread; returns at once."""
        if self._thread.ident is None:
            self._thread.start()

    def loaded(self) -> tuple[Classifier, Batcher]:
        """The model and its queue.

        Raises:
            UnavailableError: It isn't loaded, or the server stops.
        """
        if self._is_closed:
            raise UnavailableError("the server is stopping")
        if self.classifier is None or self._batcher is None:
            raise UnavailableError("the model is being loaded")
        return self.classifier, self._batcher

    def close(self, timeout_s: float) -> bool:
        """Let the owner end when it has done what was asked for.

        Returns:
            Whether it ended in time.
        """
        self._is_closed = True
        if self._batcher:
            self._batcher.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _main(self) -> None:
        start = time.perf_counter()
        try:
            classifier = self._load(self._settings)
        except StartupError as exc:
            _LOGGER.critical("%s: %s", type(exc).__name__, exc)
            self.has_failed = True
        except Exception:
            _LOGGER.critical("the model can't be loaded", exc_info=True)
            self.has_failed = True
        else:
            batcher = Batcher(classifier.score, classifier.max_batch_size, self._batch_wait_s, self._on_batch)
            self.classifier, self._batcher = classifier, batcher
            _LOGGER.info("model loaded and warmed up in %.1f s", time.perf_counter() - start)
            if self._is_closed:
                batcher.close()
            batcher.serve()
