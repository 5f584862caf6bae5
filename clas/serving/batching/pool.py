"""The predictors of one process, and the queue in front of them."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from ...engine.base import Batch, EngineInfo
from ...errors import ModelLoadError, UnavailableError
from ...model.exported import ExportedModel, read_exported_model
from ...model.files import ModelFiles
from ...pipeline import Pipeline, log_engine
from ...settings import Settings
from .batcher import Batcher
from .job import Job
from .pool_member import PoolMember
from .runner import Runner
from .wide_member import is_wide

OpenRunner = Callable[[ModelFiles, Settings], Runner]


class Pool:
    """One or more predictors of the same model.

    Args:
        settings: What to load, and how to run it.
        batch_wait_s: How long a request may wait for others to join its batch.
        on_batch: Called with the size of each batch after it ran.
        open_runner: Loads the model, in the thread that will use it.
        threads: CPU threads of each predictor; 0 for the setting. If the first has more than the others, it
            is the wide one, see `wide_member`.

    Attributes:
        pipeline: The model's input and output; None until the model was loaded once.
        has_failed: The model couldn't be loaded at the start; the log has the reason.
    """

    def __init__(
        self,
        settings: Settings,
        batch_wait_s: float,
        on_batch: Callable[[int], None],
        open_runner: OpenRunner,
        threads: Sequence[int] = (0,),
    ) -> None:
        self.pipeline: Pipeline | None = None
        self.has_failed = False
        self._settings = settings
        self._model: ExportedModel | None = None
        self._open_runner = open_runner
        self._batcher = Batcher(batch_wait_s, on_batch)
        self._closing = threading.Event()
        self._members = [
            PoolMember(
                self._batcher,
                partial(self._open, count),
                self._is_retried,
                is_wide=is_wide(threads, number),
            )
            for number, count in enumerate(threads)
        ]

    @property
    def is_loading(self) -> bool:
        """Whether all predictors are being loaded, for the first time or again."""
        return not self.has_failed and not any(member.is_serving for member in self._members)

    @property
    def predictors(self) -> tuple[int, int]:
        """How many predictors serve, and how many there should be."""
        return sum(member.is_serving for member in self._members), len(self._members)

    @property
    def beats(self) -> int:
        """Heartbeat counter; see `Batcher`."""
        return self._batcher.beats

    def start(self) -> None:
        """Begin to load the first predictor; returns at once. The others follow when that one serves."""
        self._members[0].start()

    def ready_pipeline(self) -> Pipeline:
        """Return the pipeline; requests may be queued for it even while the model is reloaded.

        Raises:
            UnavailableError: The model wasn't loaded yet, or the server stops.
        """
        if self._closing.is_set():
            raise UnavailableError("the server is stopping")
        if self.pipeline is None:
            raise UnavailableError("the model is being loaded")
        return self.pipeline

    def submit(self, tensor: Batch, deadline: float) -> Job:
        """Queue the images of one request; see `Batcher.submit`."""
        return self._batcher.submit(tensor, deadline)

    def check_health(self, timeout_s: float) -> None:
        """Check that no predictor hangs.

        Args:
            timeout_s: How long a predictor may take for a batch.

        Raises:
            UnavailableError: One has taken longer than that.
        """
        self._batcher.check_pace(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Answer what is queued, then end the predictors.

        Returns:
            Whether they ended in time.
        """
        self._closing.set()
        for member in self._members:
            member.close()
        self._batcher.close()
        until = time.monotonic() + timeout_s
        have_ended = [member.join(max(0, until - time.monotonic())) for member in self._members]
        return all(have_ended)

    def _open(self, num_threads: int) -> Runner:
        """Load the model; called by a member, by the first one before all others."""
        model = self._exported()
        settings = model.settings
        if num_threads:
            settings = dataclasses.replace(settings, cpu_num_threads=num_threads)
        runner = self._open_runner(model.files, settings)
        try:
            self._take_over(model, runner.info)
        except BaseException:
            runner.close()
            raise
        return runner

    def _exported(self) -> ExportedModel:
        """Read the exported model once, so that a reload needs the engine only.

        If its files have changed since, the only predictor takes the new model; one of several is refused,
        since the others still have the old one.
        """
        model = self._model
        if model is not None and model.has_changed():
            if len(self._members) > 1:
                raise ModelLoadError("the model's files have changed since the start: restart")
            model = None
        self._model = model or read_exported_model(self._settings)
        return self._model

    def _take_over(self, model: ExportedModel, engine: EngineInfo) -> None:
        log_engine(engine)
        is_first = self.pipeline is None
        if self.pipeline is None or self.pipeline.model is not model:
            self.pipeline = Pipeline(model, engine)
        if is_first:
            for member in self._members[1:]:
                member.start()

    def _is_retried(self) -> bool:
        """Called by a member that couldn't load its model; tells whether to try again."""
        self.has_failed = self.pipeline is None
        return not self.has_failed
