"""Mirrors our metrics to Ray, whose nodes export them to Prometheus with the replica's name."""

import asyncio
from typing import Any, Final

from prometheus_client import CollectorRegistry
from ray.serve.metrics import Gauge

_TICK_S: Final = 2.0
_LEFT_OUT: Final = "_created"  # the start time of a counter


class Mirror:
    """Copies each sample of a registry to a Ray metric of the same name, to which Ray adds the prefix ray_.

    A counter becomes a gauge, since a Ray counter can't be set; rate() works on it all the same.

    Args:
        registry: Ours.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._gauges: dict[str, Gauge] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start copying, once."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Stop copying."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            self.copy()
            await asyncio.sleep(_TICK_S)

    def copy(self) -> None:
        """Copy all samples now."""
        for family in self._registry.collect():
            for sample in family.samples:
                if not sample.name.endswith(_LEFT_OUT):
                    self._gauge(sample.name, family.documentation, tuple(sample.labels)).set(
                        sample.value, dict(sample.labels)
                    )

    def _gauge(self, name: str, text: str, labels: Any) -> Gauge:  # noqa: ANN401  # Ray says tuple[str]
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, text, labels)
        return self._gauges[name]
