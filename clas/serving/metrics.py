"""Prometheus metrics, summed over all workers.

Several workers share their counters through files, one set per worker slot. The next worker in a slot
continues with them, so that there are never more files than slots, however long the server runs.
"""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import prometheus_client
import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from ..engine.base import EngineInfo

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"  # what prometheus_client reads it from
_TASKS: Final = Path("/proc/self/task")
_CHILDREN: Final = Path("/proc/thread-self/children")  # this thread's; on Linux, if it is configured
_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def share_metrics(directory: Path, slot: int) -> None:
    """Keep all metrics created after this in files of `directory`, under the number of this worker."""
    os.environ[_DIRECTORY] = str(directory)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: slot)  # type: ignore[no-untyped-call]


def forget_worker(directory: Path, slot: int) -> None:
    """Remove the gauges of a dead worker from the sums; its counters stay."""
    mark_process_dead(slot, str(directory))  # type: ignore[no-untyped-call]


class ModelFacts(NamedTuple):
    """What this process knows of a model; the same in all workers, so that it isn't summed.

    Attributes:
        name: The model's.
        is_ready: Whether it answers.
        engine: What runs it; None if it isn't loaded.
    """

    name: str
    is_ready: bool
    engine: EngineInfo | None


class _Shared:
    """What is the same in all workers, so that it isn't summed.

    Args:
        restarts: How many processes were lost before; None where there is no parent.
        models: The models.
    """

    def __init__(self, restarts: int | None, models: Iterable[ModelFacts]) -> None:
        self._restarts = restarts
        self._models = list(models)

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        if self._restarts is not None:
            text = "Times that the server was started again after its process was lost"
            yield CounterMetricFamily("clas_process_restarts", text, value=self._restarts)
        ready = GaugeMetricFamily("clas_model_ready", "Whether a model answers", labels=["model"])
        info = InfoMetricFamily("clas_engine", "What runs a model", labels=["model"])
        names = ("name", "version", "device", "precision", "format")
        for model in self._models:
            ready.add_metric([model.name], model.is_ready)
            if model.engine is not None:
                info.add_metric([model.name], {name: getattr(model.engine, name) for name in names})
        yield ready
        if info.samples:
            yield info


class ModelMetrics:
    """What is counted of one model.

    Args:
        metrics: Those of the process.
        name: The model's.
    """

    def __init__(self, metrics: "Metrics", name: str) -> None:
        self.failed_time = metrics.failed_time.labels(name)
        self.latency = metrics.latency.labels(name)
        self.queue_time = metrics.queue_time.labels(name)
        self.prepare_time = metrics.prepare_time.labels(name)
        self.compute_time = metrics.compute_time.labels(name)
        self.last_prediction = metrics.last_prediction.labels(name)
        self.batch_size = metrics.batch_size.labels(name)
        self.images = metrics.images.labels(name)
        self.queue_images = metrics.queue_images.labels(name)
        self._loads = metrics.loads
        self._name = name
        self.queue_images.set(0)

    def count_load(self, *, is_success: bool) -> None:
        """Count that the model was loaded again, or for a request."""
        self._loads.labels(self._name, "success" if is_success else "failure").inc()


class Metrics:
    """The metrics of one process.

    Args:
        restarts: How many processes its parent has lost before; None where there is no parent.
    """

    def __init__(self, restarts: int | None = None) -> None:
        self.registry = CollectorRegistry()
        self._restarts = restarts
        self.requests = Counter(
            "clas_requests", "Answered requests", ["path", "status", "model"], registry=self.registry
        )
        # Before the latencies, in which they are contained: the difference is never negative.
        self.failed_time = self._summary(
            "clas_failed_request_seconds", "From the head of a prediction request that failed to its answer"
        )
        self.latency = self._histogram(
            "clas_request_latency_seconds", "From a prediction request's head to its answer", _SECONDS
        )
        self.queue_time = self._histogram(
            "clas_queue_seconds", "Time that a request's images waited for the model", _SECONDS
        )
        self.prepare_time = self._summary(
            "clas_prepare_seconds", "Time spent decoding and preprocessing a request's images"
        )
        self.compute_time = self._summary(
            "clas_compute_seconds", "Time that a request's images were in the model"
        )
        self.last_prediction = Gauge(
            "clas_last_prediction_timestamp_seconds",
            "When a prediction request was last answered with results",
            ["model"],
            registry=self.registry,
            multiprocess_mode="max",
        )
        self.batch_size = self._histogram(
            "clas_batch_size", "Images that went through the model at once", _SIZES
        )
        self.images = Counter("clas_images", "Images in answered requests", ["model"], registry=self.registry)
        self.loads = Counter(
            "clas_model_loads",
            "Times that a model was loaded after the start",
            ["model", "result"],
            registry=self.registry,
        )
        self.queue_images = self._gauge(
            "clas_queue_images", "Images of the requests that are being answered", ["model"]
        )
        self.unsent = self._gauge(
            "clas_unsent_bytes", "Bytes of large answers that their clients haven't taken yet"
        )
        self.memory = self._gauge(
            "clas_process_memory_bytes", "Resident memory of all workers and their models"
        )
        self._process = psutil.Process()
        self.unsent.set(0)
        self.update_memory()

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, ["model"], registry=self.registry, buckets=buckets)

    def _summary(self, name: str, text: str) -> Summary:
        return Summary(name, text, ["model"], registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")

    def update_memory(self) -> None:
        """Update the memory gauge: this process and its children.

        Raises:
            OSError: There are no descriptors left; the gauge stays as it is.
        """
        memory = 0
        for process in (self._process, *self._children()):
            with contextlib.suppress(psutil.Error):  # it may have just exited
                memory += process.memory_info().rss
        self.memory.set(memory)

    def _children(self) -> Iterator[psutil.Process]:
        """Yield the child processes.

        psutil reads of all processes of the machine who their parent is; Linux has a list for each thread.
        """
        if not _CHILDREN.exists():
            yield from self._process.children()
            return
        for task in _TASKS.iterdir():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # the thread has ended
                for pid in (task / "children").read_text().split():
                    with contextlib.suppress(psutil.Error):  # so has the process
                        yield psutil.Process(int(pid))

    def of_model(self, name: str) -> ModelMetrics:
        """Return what is counted of a model."""
        return ModelMetrics(self, name)

    def exposition(self, models: Iterable[ModelFacts] = ()) -> bytes:
        """Return the metrics of all workers in Prometheus' text format.

        Args:
            models: What this process knows of its models.
        """
        shared = CollectorRegistry()
        shared.register(_Shared(self._restarts, models))
        return prometheus_client.generate_latest(self._summed()) + prometheus_client.generate_latest(shared)

    def totals(self) -> Mapping[str, Mapping[str, float]]:
        """Return for each model what has no other labels, by its name in Prometheus' text format.

        It is summed over all workers.
        """
        totals: dict[str, dict[str, float]] = defaultdict(dict)
        for family in self._summed().collect():
            for sample in family.samples:
                if sample.labels.keys() == {"model"}:
                    totals[sample.labels["model"]][sample.name] = sample.value
        return totals

    def _summed(self) -> CollectorRegistry:
        if _DIRECTORY not in os.environ:
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry
