"""All models of a process."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, NamedTuple

from ...errors import ModelControlError, NotFoundError, UnavailableError
from ..batching.pool import Pool
from .loader import Loader
from .plan import ModelPlan
from .reason import without_paths
from .served_model import ServedModel

_LOGGER: Final = logging.getLogger("clas_system")
_RETRY_S: Final = 30.0
_SHOWN_NAMES: Final = 10


class Replacement(NamedTuple):
    """A loaded model that may take the place of another one.

    Attributes:
        model: For which it answers; it may not be among the models yet.
        plan: How it was loaded.
        pool: Its predictors.
    """

    model: ServedModel
    plan: ModelPlan
    pool: Pool


class Models:
    """The models that are served, by name; for the event loop, but for what says otherwise.

    Args:
        plans: Name -> how the model is loaded, of those that are there from the start.
        open_model: Makes a model that isn't loaded yet.
        find_plan: Returns how a model is loaded from its folder as it is now; raises NotFoundError.
        loader: Loads them.
        required: The names of those without which the start fails; it also does if none can be loaded.
    """

    def __init__(
        self,
        plans: Mapping[str, ModelPlan],
        open_model: Callable[[str, ModelPlan], ServedModel],
        find_plan: Callable[[str], ModelPlan],
        loader: Loader,
        required: Collection[str] = (),
    ) -> None:
        self._models = {name: open_model(name, plan) for name, plan in plans.items()}
        self._open_model = open_model
        self._find_plan = find_plan
        self._loader = loader
        self._required = [name for name in required if name in plans]
        self._coming: dict[str, asyncio.Task[None]] = {}
        self._was_ready = False
        self._failed_at: dict[str, float] = {}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(list(self._models.values()))

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def __getitem__(self, name: str) -> ServedModel:
        """Return a model.

        Raises:
            NotFoundError: There is none of this name.
        """
        try:
            return self._models[name]
        except KeyError:
            shown = ", ".join(list(self._models)[:_SHOWN_NAMES]) or "none"
            more = f" and {len(self) - _SHOWN_NAMES} more" if len(self) > _SHOWN_NAMES else ""
            message = f"there is no model {name[:80]!r}; this server has {shown}{more}"
            raise NotFoundError(message) from None

    @property
    def first(self) -> ServedModel | None:
        """The first model, which is the only one of most servers; None if there is none."""
        return next(iter(self._models.values()), None)

    def start(self) -> None:
        """Begin to load the models, one after the other; returns at once. May be called again."""
        self._loader.start(self._models.values())

    def load(self, is_given_up: Callable[[], bool]) -> None:
        """Load what `start` does, with all predictors, and wait; for a thread without an event loop.

        Args:
            is_given_up: Tells whether to wait no longer.
        """
        self.start()
        for pool in self._pools_now():
            pool.load(is_given_up)

    @property
    def is_loading(self) -> bool:
        """Whether the models of the start are still being loaded, or the only one is loaded again."""
        pools = self._pools_now()
        if any(pool.pipeline is None and not pool.has_failed for pool in pools):
            return True
        return bool(pools) and not self.has_failed and all(pool.is_loading for pool in pools)

    @property
    def has_failed(self) -> bool:
        """Whether the start has failed: no model could be loaded, or one without which there is none."""
        if self._was_ready and not self._required:
            return False
        pools = self._pools_now()
        if any(pool.has_failed for name in self._required if (pool := self._models[name].pool)):
            return True
        self._required = [name for name in self._required if not _is_loaded(self._models[name])]
        self._was_ready = self._was_ready or any(pool.pipeline is not None for pool in pools)
        return bool(pools) and len(pools) == len(self) and all(pool.has_failed for pool in pools)

    def check_ready(self) -> None:
        """Check that requests are answered; those for a model that can't be loaded are none of them.

        Raises:
            UnavailableError: The models of the start are being loaded, or no model serves.
        """
        pools = self._pools_now()
        serving = [pool for pool in pools if not (pool.is_loading or pool.has_failed)]
        for pool in pools:
            if not pool.has_failed and (pool.pipeline is None or not serving):
                pool.ready_pipeline()
                raise UnavailableError("the model is being loaded again")
        if self._loader.is_closing:
            raise UnavailableError("the server is stopping")
        if pools and not serving and len(pools) == len(self):
            raise UnavailableError("no model can be loaded")

    def check_health(self, timeout_s: float) -> None:
        """Check that no predictor hangs; see `Pool.check_health`."""
        for model in self:
            for pool in model.pools():
                pool.check_health(timeout_s)

    def _pools_now(self) -> list[Pool]:
        return [model.pool for model in self._models.values() if model.pool]

    async def bring(self, model: ServedModel, deadline: float) -> None:
        """Load a model that isn't in memory, if it is to be; called for each request.

        Args:
            model: The model.
            deadline: Time of `time.monotonic` until when to wait for it.

        Raises:
            UnavailableError: There was no time for it.
        """
        model.num_waiting += 1
        try:
            while self._is_to_be_brought(model):  # again, if the load has failed in between
                coming = self._coming.get(model.name)
                if coming is None:
                    coming = self._coming[model.name] = asyncio.create_task(self._bring(model))
                    coming.add_done_callback(lambda _: self._coming.pop(model.name, None))
                await asyncio.wait_for(asyncio.shield(coming), deadline - time.monotonic())
        except asyncio.TimeoutError as exc:
            raise UnavailableError(f"there was no time to load the model {model.name}") from exc
        finally:
            model.num_waiting -= 1

    def _is_to_be_brought(self, model: ServedModel) -> bool:
        if model.pool is None:
            return model.is_wanted
        if not (model.pool.has_failed and self._loader.max_loaded):
            return False
        return time.monotonic() > self._failed_at.get(model.name, 0) + _RETRY_S

    async def _bring(self, model: ServedModel) -> None:
        pool = await self._loader.load(model, model.plan, self)
        if pool.has_failed:
            self._failed_at[model.name] = time.monotonic()
        if not model.is_wanted:  # it was unloaded meanwhile
            self._loader.free(pool)
            return
        model.replace(pool, self._loader.free)
        model.used_at = time.monotonic()

    async def prepare(self, name: str) -> Replacement:
        """Load a model from its folder as it is now, beside the one that serves.

        Args:
            name: That of a model, or of another one that `find_plan` knows.

        Raises:
            NotFoundError: There is none of this name.
            ModelControlError: It can't be loaded.
        """
        plan = self._find_plan(name)
        model = self._models.get(name) or self._open_model(name, plan)
        pool = await self._loader.load(model, plan, self)
        if pool.has_failed:
            await self._loader.free(pool)
            raise ModelControlError(f"the model {name} can't be loaded: {without_paths(pool.failure)}")
        return Replacement(model, plan, pool)

    def commit(self, replacement: Replacement) -> None:
        """Let a loaded model answer from now on."""
        model, plan, pool = replacement
        self._models[model.name] = model
        model.plan, model.is_wanted = plan, True
        model.replace(pool, self._loader.free)
        _LOGGER.info("the model %s is %s now", model.name, pool.version)

    async def discard(self, replacement: Replacement) -> None:
        """Free a loaded model that isn't wanted after all."""
        await self._loader.free(replacement.pool)

    def add(self, name: str) -> None:
        """Have one more model, which isn't loaded yet.

        Raises:
            NotFoundError: `find_plan` knows none of this name.
            SettingsError: A setting is invalid.
        """
        if name not in self._models:
            self._models[name] = self._open_model(name, self._find_plan(name))

    def unload(self, name: str) -> None:
        """Answer no more requests for a model, and free it when those that came before are answered.

        Raises:
            NotFoundError: There is none of this name.
        """
        model = self[name]
        model.is_wanted = False
        model.replace(None, self._loader.free)
        _LOGGER.info("the model %s is unloaded", name)

    def close(self, timeout_s: float) -> bool:
        """Answer what is queued, then end all predictors; for any thread.

        Returns:
            Whether they ended in time.
        """
        return self._loader.close([pool for model in self for pool in model.pools()], timeout_s)


def _is_loaded(model: ServedModel) -> bool:
    return model.pool is None or model.pool.pipeline is not None
