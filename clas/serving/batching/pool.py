"""The model of one process: a queue, and the predictors behind it."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence

from ...classifier import Classifier
from ...errors import ModelLoadError, UnavailableError
from ...settings import Settings
from .batcher import Batcher
from .pool_member import Lane, OpenPredictor


class Engine:
    """One or more predictors of the same model.

    Args:
        settings: What to load, and how to run it.
        batch_wait_s: How long a request may wait for others to join it.
        on_batch: Called with the size of each batch that went through the model.
        open_predictor: Loads the model, in the thread that will use it.
        threads: CPU threads of each predictor; 0 for what the settings say. If the first has more than the
            others, it gets the requests that are alone, and the others share all else.

    Attributes:
        classifier: What prepares and names; None until the model has been loaded once.
        batcher: The queue in front of the model.
        has_failed: The model couldn't be loaded at the start; the reason is in the log.
    """

    def __init__(
        self,
        settings: Settings,
        batch_wait_s: float,
        on_batch: Callable[[int], None],
        open_predictor: OpenPredictor,
        threads: Sequence[int] = (0,),
    ) -> None:
        self.classifier: Classifier | None = None
        self.batcher = Batcher(batch_wait_s, on_batch)
        self.has_failed = False
        self._closing = threading.Event()
        self._lanes = [
            Lane(
                dataclasses.replace(settings, cpu_num_threads=count or settings.cpu_num_threads),
                self.batcher,
                open_predictor,
                self._take_over,
                self._go_on,
                is_wide=number == 0 and count > threads[-1],
            )
            for number, count in enumerate(threads)
        ]

    @property
    def is_loading(self) -> bool:
        """No predictor serves: they are being loaded, for the first time or again."""
        return not self.has_failed and not any(lane.is_serving for lane in self._lanes)

    @property
    def predictors(self) -> tuple[int, int]:
        """How many predictors serve, and how many there are to be."""
        return sum(lane.is_serving for lane in self._lanes), len(self._lanes)

    def start(self) -> None:
        """Begin to load the first predictor; returns at once. The others follow when that serves."""
        self._lanes[0].start()

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
        """Let the owners end when they have done what was asked for.

        Returns:
            Whether they ended in time.
        """
        self._closing.set()
        for lane in self._lanes:
            lane.close()
        self.batcher.close()
        until = time.monotonic() + timeout_s
        have_ended = [lane.join(max(0, until - time.monotonic())) for lane in self._lanes]
        return all(have_ended)

    def _take_over(self, classifier: Classifier) -> None:
        """Called by a lane that has loaded its model, the first one before all others."""
        is_first = self.classifier is None
        if self.classifier is not None and len(self._lanes) > 1:
            loaded, wanted = (_kind(one) for one in (classifier, self.classifier))
            if loaded != wanted:
                raise ModelLoadError(f"the model is another one than at the start ({loaded}): restart")
            return
        self.classifier = classifier
        if is_first:
            for lane in self._lanes[1:]:
                lane.start()

    def _go_on(self) -> bool:
        """Called by a lane that couldn't load its model."""
        self.has_failed = self.classifier is None
        return not self.has_failed


def _kind(classifier: Classifier) -> tuple[list[int | None], int]:
    """What must not change while several predictors of the model are loaded, one after the other."""
    description = classifier.describe()
    return description["input_shape"], description["classes"]
