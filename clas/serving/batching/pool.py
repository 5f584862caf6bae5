"""The predictors of one process, and the queue in front of them."""

import dataclasses
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ...engine.base import Batch, EngineClass
from ...engine.choice import Choice, choose
from ...errors import ModelChangedError, UnavailableError
from ...model.exported import ExportedModel, read_exported_model
from ...model.files import ModelFiles
from ...model.fingerprint import Fingerprint
from ...pipeline import Pipeline, log_engine
from ...settings import Settings
from .batcher import Batcher
from .job import Job
from .pool_member import PoolMember
from .runner import InProcessRunner, Runner
from .wide_member import is_wide

_LOGGER: Final = logging.getLogger("clas_system")

_LOAD_POLL_S: Final = 0.05
_OTHERS_LOAD_S: Final = 60.0  # of several predictors, one may fail for long

OpenRunner = Callable[[EngineClass, ModelFiles, Settings], Runner]


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
        self._refusal = ""
        self._open_runner = open_runner
        self._batcher = Batcher(batch_wait_s, on_batch)
        self._closing = threading.Event()
        self._loads = itertools.count()
        self._first_loads = len(threads)
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
        return not self.has_failed and not self._is_serving

    @property
    def _is_serving(self) -> bool:
        return any(member.is_serving for member in self._members)

    @property
    def predictors(self) -> tuple[int, int]:
        """How many predictors serve, and how many there should be."""
        return sum(member.is_serving for member in self._members), len(self._members)

    @property
    def beats(self) -> int:
        """Heartbeat counter; see `Batcher`."""
        return self._batcher.beats

    @property
    def failure(self) -> str:
        """Why the model couldn't be loaded; empty if it could."""
        return self._members[0].last_failure if self.has_failed else ""

    @property
    def version(self) -> str:
        """A hash of program, weights and inference.yml; empty until these were read."""
        return self._model.fingerprint.version if self._model else ""

    def start(self) -> None:
        """Begin to load the first predictor; returns at once. The others follow when that one serves."""
        self._members[0].start()

    def load(self, is_given_up: Callable[[], bool] = lambda: False, *, all_predictors: bool = True) -> None:
        """Load the model, and return when it serves, or can't be loaded.

        Args:
            is_given_up: Tells whether to wait no longer.
            all_predictors: Wait for all of them, if not too long: the first one serves already.
        """
        self.start()
        latest = math.inf
        while time.monotonic() < latest and not (self.has_failed or self._closing.is_set() or is_given_up()):
            serving, wanted = self.predictors
            if serving == wanted or (serving and not all_predictors):
                return
            if serving:
                latest = min(latest, time.monotonic() + _OTHERS_LOAD_S)
            time.sleep(_LOAD_POLL_S)

    def ready_pipeline(self) -> Pipeline:
        """Return the pipeline; requests may be queued for it even while the model is reloaded.

        Raises:
            UnavailableError: The model isn't loaded yet, or is lost and its files have changed, or the server
                stops.
        """
        if self._closing.is_set():
            raise UnavailableError("the server is stopping")
        if self.pipeline is None:
            raise UnavailableError("the model is being loaded")
        if self._refusal and not self._is_serving:
            raise UnavailableError(self._refusal)
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

    def begin_close(self) -> None:
        """Refuse what comes from now on, and let the predictors end when the queue is empty."""
        self._closing.set()
        for member in self._members:
            member.close()
        self._batcher.close()

    def close(self, timeout_s: float) -> bool:
        """Answer what is queued, then end the predictors, and free the model.

        Returns:
            Whether they ended in time.
        """
        self.begin_close()
        until = time.monotonic() + timeout_s
        have_ended = [member.join(max(0, until - time.monotonic())) for member in self._members]
        if all(have_ended):
            del self._members[1:]  # each of these has a hold on the engine
        return all(have_ended)

    def _open(self, num_threads: int) -> Runner:
        """Load the model; called by a member, by the first one before all others."""
        start = time.perf_counter()
        is_another = 0 < next(self._loads) < self._first_loads
        level = logging.DEBUG if is_another else logging.INFO  # it says what the first one has said
        model, fingerprint = self._exported()
        settings = model.settings
        if num_threads:
            settings = dataclasses.replace(settings, cpu_num_threads=num_threads)
        if self.pipeline:  # nothing is tried again that the first one couldn't do
            first = self.pipeline.engine
            settings = dataclasses.replace(
                settings,
                engine=first.name,
                precision=first.precision,
                enable_mkldnn=first.mkldnn,
            )
        choice = choose(
            settings,
            model.programs,
            lambda engine_class, files: self._open_runner(engine_class, files, settings),
        )
        runner = choice.opened
        try:
            fingerprint.check_untouched()
            log_engine(runner.info, level)
            self._take_over(model, choice)
        except BaseException:
            runner.close()
            raise
        _LOGGER.log(level, "model loaded and warmed up in %.1f s", time.perf_counter() - start)
        return runner

    def _exported(self) -> tuple[ExportedModel, Fingerprint]:
        """Read the exported model once, so that a reload needs the engine only.

        Raises:
            ModelChangedError: Its files hold something else by now. Other predictors may still have the old
                content, and answers are made for that; the new one takes a new process.
        """
        if self._model is None:
            self._model = read_exported_model(self._settings)
            return self._model, self._model.fingerprint
        try:
            return self._model, self._model.fingerprint.retake()
        except ModelChangedError as exc:
            self._refusal = str(exc)
            if not self._is_serving:
                self._batcher.fail_queued(UnavailableError(self._refusal))
            raise

    def _take_over(self, model: ExportedModel, choice: Choice[Runner]) -> None:
        runner = choice.opened
        self._refusal = ""
        if self.pipeline is None:
            self.pipeline = Pipeline(model, runner.info, choice.passed_over)
            if isinstance(runner, InProcessRunner) and choice.engine_class.in_process:
                self._share(runner)
            for member in self._members[1:]:
                member.start()

    def _share(self, runner: InProcessRunner) -> None:
        """Have a member for each call that an engine in this process runs at once.

        None of them is wide: such an engine itself gives all cores to an image that is alone.
        """
        self._members[0].is_wide = False
        self._first_loads = 1
        self._members[1:] = [
            PoolMember(self._batcher, runner.another, self._is_retried)
            for _ in range(1, runner.info.concurrency)
        ]

    def _is_retried(self) -> bool:
        """Called by a member that couldn't load its model; tells whether to try again."""
        self.has_failed = self.pipeline is None
        return not self.has_failed
