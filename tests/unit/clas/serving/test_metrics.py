import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

from clas.engine.base import EngineInfo
from clas.serving.metrics import Metrics, forget_worker, share_metrics

WORKER = """
import sys, time
from pathlib import Path
from clas.serving.metrics import Metrics, share_metrics
share_metrics(Path(sys.argv[1]), int(sys.argv[2]))
metrics = Metrics()
metrics.images.inc(4)
metrics.queue_images.set(2)
print("counted", flush=True)
input()
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where workers may share their counts; all is as before after the test."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(values, "_multi_process_cleanups", [], raising=False)  # since 0.26
    return tmp_path


def worker(directory: Path, slot: int) -> Metrics:
    """What a worker counts with: like those of several processes, they meet in files only."""
    share_metrics(directory, slot)
    return Metrics()


def samples(metrics: Metrics) -> dict[str, float]:
    """Name with labels, such as clas_requests_total{path="/",status="200"} -> value."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_one_process_shows_all_that_is_counted() -> None:
    metrics = Metrics()
    metrics.requests.labels("/", "200").inc()
    metrics.latency.observe(0.3)
    metrics.queue_time.observe(0.004)
    metrics.prepare_time.observe(0.002)
    metrics.compute_time.observe(0.03)
    metrics.failed_time.observe(0.5)
    metrics.batch_size.observe(8)
    metrics.images.inc(3)
    metrics.queue_images.set(2)
    found = samples(metrics)
    assert found['clas_requests_total{path="/",status="200"}'] == 1
    assert found['clas_request_latency_seconds_bucket{le="0.2"}'] == 0
    assert found['clas_request_latency_seconds_bucket{le="0.5"}'] == 1
    assert found['clas_queue_seconds_bucket{le="0.005"}'] == 1
    assert found["clas_queue_seconds_sum"] == 0.004
    assert found["clas_prepare_seconds_sum"] == 0.002
    assert found["clas_compute_seconds_sum"] == 0.03
    assert found["clas_failed_request_seconds_sum"] == 0.5
    assert found['clas_batch_size_bucket{le="4.0"}'] == 0
    assert found['clas_batch_size_bucket{le="8.0"}'] == 1
    assert found["clas_images_total"] == 3
    assert found["clas_queue_images"] == 2
    assert found["clas_process_memory_bytes"] > 10**6


def test_restarts_are_shown_where_there_is_a_parent() -> None:
    assert samples(Metrics(3))["clas_process_restarts_total"] == 3
    assert "clas_process_restarts_total" not in samples(Metrics())


def test_the_engine_is_told_once_it_is_known() -> None:
    engine = EngineInfo(
        name="openvino",
        version="1.2",
        format="pdmodel",
        input_shape=(None, 3, 32, 32),
        num_outputs=6,
        batch_limit=4,
        concurrency=2,
        device="CPU",
        mkldnn=False,
        precision="bf16",
        num_threads=2,
    )
    text = Metrics().exposition(engine).decode()
    assert (
        'clas_engine_info{device="CPU",format="pdmodel",name="openvino",precision="bf16",version="1.2"} 1.0'
        in text
    )
    assert "clas_engine_info" not in Metrics().exposition().decode()


def test_restarts_are_not_summed_over_the_workers(directory: Path) -> None:
    for slot in range(2):
        share_metrics(directory, slot)
        metrics = Metrics(3)
    assert samples(metrics)["clas_process_restarts_total"] == 3


def test_totals_are_over_all_workers_and_the_latest_time_is_the_last(directory: Path) -> None:
    for slot, seconds in enumerate((20.0, 10.0)):
        metrics = worker(directory, slot)
        metrics.images.inc(4)
        metrics.compute_time.observe(0.5)
        metrics.last_prediction.set(seconds)
        metrics.requests.labels("/", "200").inc()
    totals = metrics.totals()
    assert totals["clas_images_total"] == 8
    assert (totals["clas_compute_seconds_count"], totals["clas_compute_seconds_sum"]) == (2, 1)
    assert totals["clas_last_prediction_timestamp_seconds"] == 20
    assert "clas_requests_total" not in totals


def test_two_of_them_in_one_process_do_not_meddle() -> None:
    first, second = Metrics(), Metrics()
    first.images.inc()
    assert samples(second)["clas_images_total"] == 0


def test_memory_includes_the_models_process_and_survives_its_end(repository: Path) -> None:
    metrics = Metrics()  # other tests' servers may run below this process, too
    before = samples(metrics)["clas_process_memory_bytes"]
    code = "data = b'1' * 200_000_000; print(len(data), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=repository
    ) as model:
        assert model.stdout is not None
        model.stdout.readline()
        metrics.update_memory()
        assert samples(metrics)["clas_process_memory_bytes"] > before + 150_000_000
        model.kill()
    metrics.update_memory()
    assert 0 < samples(metrics)["clas_process_memory_bytes"] < before + 100_000_000


def test_a_process_that_ends_while_its_memory_is_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        child = psutil.Process(ended.pid)
        ended.kill()
    monkeypatch.setattr(Metrics, "_children", lambda _: [child])
    metrics.update_memory()
    assert samples(metrics)["clas_process_memory_bytes"] > 0


def test_of_all_processes_only_the_own_children_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("all processes of the machine are looked at")

    monkeypatch.setattr("psutil._ppid_map", fail)
    metrics = Metrics()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in {process.pid for process in metrics._children()}
        metrics.update_memory()
        child.kill()


def test_without_lists_of_children_they_are_found_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("clas.serving.metrics._CHILDREN", tmp_path / "none")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in {process.pid for process in Metrics()._children()}
        child.kill()


def test_any_worker_shows_the_sums_over_all(directory: Path) -> None:
    workers = [worker(directory, slot) for slot in (1, 2)]
    for number, metrics in enumerate(workers, start=1):
        metrics.requests.labels("/", "200").inc(number)
        metrics.latency.observe(number)
        metrics.batch_size.observe(number)
        metrics.queue_images.set(10 * number)
        metrics.memory.set(1000 * number)
    for metrics in workers:
        found = samples(metrics)
        assert found['clas_requests_total{path="/",status="200"}'] == 3
        assert found["clas_request_latency_seconds_count"] == 2
        assert found["clas_request_latency_seconds_sum"] == 3
        assert found['clas_batch_size_bucket{le="1.0"}'] == 1
        assert found['clas_batch_size_bucket{le="+Inf"}'] == 2
        assert found["clas_queue_images"] == 30
        assert found["clas_process_memory_bytes"] == 3000


def test_a_dead_workers_counts_stay_but_not_its_memory_and_queue(directory: Path) -> None:
    first, second = worker(directory, 1), worker(directory, 2)
    for metrics in (first, second):
        metrics.images.inc(5)
        metrics.queue_images.set(3)
        metrics.memory.set(1000)
    forget_worker(directory, 1)
    found = samples(second)
    assert (found["clas_images_total"], found["clas_queue_images"]) == (10, 3)
    assert found["clas_process_memory_bytes"] == 1000


def test_the_next_worker_in_a_slot_goes_on_with_its_counts(directory: Path) -> None:
    other = worker(directory, 2)
    files = 0
    for generation in range(1, 4):
        metrics = worker(directory, 1)
        metrics.images.inc(5)
        metrics.batch_size.observe(1)
        metrics.requests.labels("/", "200").inc()
        found = samples(other)
        assert found["clas_images_total"] == 5 * generation
        assert found["clas_batch_size_count"] == generation
        assert found['clas_requests_total{path="/",status="200"}'] == generation
        files = files or len(list(directory.iterdir()))
        assert len(list(directory.iterdir())) == files


@pytest.mark.parametrize("is_forgotten", [True, False])
def test_the_next_worker_in_a_slot_has_an_empty_queue(directory: Path, is_forgotten: bool) -> None:
    other = worker(directory, 2)
    worker(directory, 1).queue_images.set(7)
    assert samples(other)["clas_queue_images"] == 7
    if is_forgotten:
        forget_worker(directory, 1)
    worker(directory, 1)
    assert samples(other)["clas_queue_images"] == 0


def test_counts_of_a_killed_process_are_gone_on_with(directory: Path, repository: Path) -> None:
    """With processes in place of what stands for them above."""
    me = worker(directory, 1)

    def start_worker() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(directory), "2"],
            cwd=repository,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"counted\n"
        return process

    with start_worker() as first:
        assert (samples(me)["clas_images_total"], samples(me)["clas_queue_images"]) == (4, 2)
        first.kill()
    forget_worker(directory, 2)
    assert (samples(me)["clas_images_total"], samples(me)["clas_queue_images"]) == (4, 0)
    with start_worker() as second:
        assert (samples(me)["clas_images_total"], samples(me)["clas_queue_images"]) == (8, 2)
        second.kill()
