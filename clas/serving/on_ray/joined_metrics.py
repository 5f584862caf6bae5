"""The metrics of several models as those of one server."""

from collections.abc import Iterable, Iterator

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families


class _Joined:
    """Sums what has the same name and the same labels.

    Args:
        texts: Each in Prometheus' text format.
    """

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._families: dict[str, Metric] = {}
        self._values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for text in texts:
            for family in text_string_to_metric_families(text.decode()):
                self._families.setdefault(family.name, family)
                values = self._values.setdefault(family.name, {})
                for sample in family.samples:
                    key = sample.name, tuple(sample.labels.items())
                    values[key] = values.get(key, 0) + sample.value

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        for name, family in self._families.items():
            joined = Metric(name, family.documentation, family.type)
            for (sample, labels), value in self._values[name].items():
                joined.add_sample(sample, dict(labels), value)
            yield joined


def join_metrics(texts: Iterable[bytes]) -> bytes:
    """Return the metrics of several processes in one text.

    Args:
        texts: Each in Prometheus' text format.
    """
    registry = CollectorRegistry()
    registry.register(_Joined(texts))
    return prometheus_client.generate_latest(registry)
