"""The one thread that loads models, and the bound on how many are in memory."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from ..batching.pool import Pool
from .plan import ModelPlan
from .served_model import ServedModel

_LOGGER: Final = logging.getLogger("clas_system")
_POLL_S: Final = 0.05

OpenPool = Callable[[ServedModel, ModelPlan], Pool]
"""Makes the predictors of a model, which aren't loaded yet."""


class Loader:
    """Loads one model at a time, and frees those that aren't used.

    Args:
        open_pool: Makes predictors.
        max_loaded: Most models in memory; 0 for no limit.

    Attributes:
        max_loaded: As given.
    """

    def __init__(self, open_pool: OpenPool, max_loaded: int) -> None:
        self.max_loaded = max_loaded
        self._open_pool = open_pool
        self._thread = ThreadPoolExecutor(1, "loader")
        self._turn = asyncio.Lock()  # to make room and load
        self._leaving: dict[Pool, asyncio.Task[None]] = {}
        self._closing = threading.Event()

    @property
    def is_closing(self) -> bool:
        """Whether nothing is loaded any more."""
        return self._closing.is_set()

    def start(self, models: Collection[ServedModel]) -> None:
        """Begin to load as many models as may be in memory, one after the other; returns at once."""
        for model in list(models)[: self.max_loaded or None]:
            if model.pool is None and model.is_wanted and not self.is_closing:
                model.pool = self._open_pool(model, model.plan)
                load = partial(model.pool.load, self._closing.is_set, all_predictors=len(models) == 1)
                self._thread.submit(load)

    async def load(self, model: ServedModel, plan: ModelPlan, models: Iterable[ServedModel]) -> Pool:
        """Load predictors of a model; they don't answer yet.

        Args:
            model: The model; if it isn't in memory, others may have to make room for it.
            plan: How it is loaded.
            models: All models.

        Returns:
            The predictors; `has_failed` tells whether they could be loaded.
        """
        async with self._turn:
            if model.pool is None or model.pool.has_failed:
                await self._make_room(model, models)
            _LOGGER.info("loading the model %s", model.name)
            pool = self._open_pool(model, plan)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, pool.load, self._closing.is_set)
        model.metrics.count_load(is_success=not pool.has_failed)
        return pool

    def free(self, pool: Pool) -> "asyncio.Task[None]":
        """Begin to free predictors that have answered everything."""
        leaving = self._leaving[pool] = asyncio.create_task(_end(pool))
        leaving.add_done_callback(lambda _: self._leaving.pop(pool, None))
        return leaving

    async def _make_room(self, model: ServedModel, models: Iterable[ServedModel]) -> None:
        """Free the models that were used least recently, those first that answer nothing now."""
        others = [other for other in models if other is not model]
        while self.max_loaded:
            loaded = [other for other in others if other.pool and not other.pool.has_failed]
            if len(loaded) < self.max_loaded:
                return
            oldest = min(
                loaded, key=lambda other: (bool(other.num_waiting), not other.is_idle, other.used_at)
            )
            if oldest.num_waiting:  # it has just been loaded, for requests that are about to see that
                await asyncio.sleep(_POLL_S)
                continue
            _LOGGER.info("the model %s makes room for %s", oldest.name, model.name)
            oldest.replace(None, self.free)
            while oldest.pools():  # noqa: ASYNC110  # it still answers
                await asyncio.sleep(_POLL_S)
            await asyncio.gather(*self._leaving.values())

    def close(self, pools: Collection[Pool], timeout_s: float) -> bool:
        """Load nothing more, and end predictors when they have answered what is queued; for any thread.

        Args:
            pools: Those that weren't given to `free`.
            timeout_s: How long to wait.

        Returns:
            Whether all predictors ended in time.
        """
        self._closing.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + timeout_s
        all_pools = [*pools, *self._leaving]
        for pool in all_pools:
            pool.begin_close()
        have_ended = [pool.close(max(0, until - time.monotonic())) for pool in all_pools]
        return all(have_ended)


async def _end(pool: Pool) -> None:
    pool.begin_close()
    while not pool.close(0):  # noqa: ASYNC110  # it has threads
        await asyncio.sleep(_POLL_S)
