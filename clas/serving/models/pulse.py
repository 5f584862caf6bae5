"""Whether all models respond, by their heartbeats."""

from typing import TYPE_CHECKING

from .registry import Models

if TYPE_CHECKING:
    from ..batching.pool import Pool


class Pulse:
    """Remembers which heartbeats were felt."""

    def __init__(self) -> None:
        self._before: dict[Pool, int] = {}

    def is_felt(self, models: Models) -> bool:
        """Whether each model has sent a heartbeat since this was true the last time, or is being loaded."""
        beats = {pool: pool.beats for model in models for pool in model.pools()}
        is_felt = all(
            beat != self._before.get(pool) or pool.is_loading or pool.has_failed
            for pool, beat in beats.items()
        )
        if is_felt:
            self._before = beats
        return is_felt
