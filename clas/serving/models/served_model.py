"""One of the models that are served: what answers for it now, and what is known of it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from enum import Enum

from ...errors import NotFoundError, UnavailableError
from ..batching.admission import Admission
from ..batching.pool import Pool
from ..metrics import ModelFacts, ModelMetrics
from .plan import ModelPlan
from .reason import without_paths


class State(Enum):
    """What becomes of a request for a model."""

    LOADING = "loading"
    """It is refused for now."""
    READY = "ready"
    """It is answered."""
    IDLE = "idle"
    """It is answered once the model is loaded, which it causes."""
    UNAVAILABLE = "unavailable"
    """It is refused: the model can't be loaded."""
    UNLOADED = "unloaded"
    """It is refused: somebody has unloaded the model."""


class ServedModel:
    """A model under its name; all but `lease` is for the event loop, or before it runs.

    Args:
        name: The name.
        plan: How it is loaded.
        metrics: What is counted of it.
        admission: Bounds its requests.

    Attributes:
        name: As given.
        plan: As given; another one when its folder is read again.
        metrics: As given.
        admission: As given.
        pool: Its predictors, loaded or being loaded; None if it isn't in memory.
        is_wanted: Whether it is to be in memory, be it when it is asked for; False once it was unloaded.
        used_at: When it was last asked for, on the monotonic clock.
        num_waiting: How many requests wait for it to be loaded.
    """

    def __init__(self, name: str, plan: ModelPlan, metrics: ModelMetrics, admission: Admission) -> None:
        self.name = name
        self.plan = plan
        self.metrics = metrics
        self.admission = admission
        self.pool: Pool | None = None
        self.is_wanted = True
        self.used_at = 0.0
        self.num_waiting = 0
        self._leases: dict[Pool, int] = {}
        self._retired: dict[Pool, Callable[[Pool], object]] = {}

    @property
    def state(self) -> State:
        """What becomes of a request now."""
        if not self.is_wanted:
            return State.UNLOADED
        if self.pool is None:
            return State.IDLE
        if self.pool.has_failed:
            return State.UNAVAILABLE
        return State.LOADING if self.pool.is_loading else State.READY

    @property
    def reason(self) -> str:
        """Why requests are refused; empty if they aren't. Holds no path of the machine."""
        state = self.state
        if state is State.UNAVAILABLE and self.pool:
            return without_paths(self.pool.failure)
        return "it is unloaded" if state is State.UNLOADED else ""

    @property
    def version(self) -> str:
        """Of the loaded model, see `Pool.version`; empty if none is."""
        return self.pool.version if self.pool else ""

    @property
    def facts(self) -> ModelFacts:
        """What metrics tell of it."""
        pipeline = self.pool.pipeline if self.pool else None
        is_ready = self.state in (State.READY, State.IDLE)
        return ModelFacts(self.name, is_ready, pipeline.engine if pipeline else None)

    def check_ready(self) -> None:
        """Check that requests are answered, if need be once the model is loaded.

        Raises:
            NotFoundError: It is unloaded.
            UnavailableError: It is being loaded, or can't be.
        """
        if self.state is not State.IDLE:
            pool = self._current()
            pool.ready_pipeline()
            if pool.is_loading:
                raise UnavailableError("the model is being loaded again")

    @contextlib.contextmanager
    def lease(self) -> Iterator[Pool]:
        """Keep what answers now for the duration of a block, whatever takes its place meanwhile.

        Raises:
            NotFoundError: It is unloaded.
            UnavailableError: It isn't loaded, or can't be.
        """
        pool = self._current()
        self.used_at = time.monotonic()
        self._leases[pool] = self._leases.get(pool, 0) + 1
        try:
            yield pool
        finally:
            self._leases[pool] -= 1
            if not self._leases[pool]:
                del self._leases[pool]
                if pool in self._retired:
                    self._retired.pop(pool)(pool)

    def replace(self, pool: Pool | None, close: Callable[[Pool], object]) -> None:
        """Let another pool answer what comes from now on.

        Args:
            pool: The other one; None if the model leaves the memory.
            close: Called with the present one when it has answered everything, perhaps at once.
        """
        before, self.pool = self.pool, pool
        if before is None:
            return
        if before in self._leases:
            self._retired[before] = close
        else:
            close(before)

    def pools(self) -> list[Pool]:
        """All pools in memory: the present one, and those before it that still answer."""
        return [*([self.pool] if self.pool else []), *self._retired]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return not self._leases

    def _current(self) -> Pool:
        if not self.is_wanted:
            raise NotFoundError(f"the model {self.name} is unloaded")
        if self.pool is None:
            raise UnavailableError(f"the model {self.name} isn't in memory")
        if self.pool.has_failed:
            raise UnavailableError(f"the model {self.name} is unavailable: {self.reason}")
        return self.pool
