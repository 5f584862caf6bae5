import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

from clas.engine.base import EngineInfo
from clas.serving.metrics import Metrics, ModelFacts, ModelMetrics, forget_worker, share_metrics

NAME = "rose"
MODEL = f'model="{NAME}"'

WORKER = """
import sys, time
from pathlib import Path
from clas.serving.metrics import Metrics, share_metrics
share_metrics(Path(sys.argv[1]), int(sys.argv[2]))
metrics = Metrics().of_model("rose")
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


def worker(directory: Path, slot: int) -> tuple[Metrics, ModelMetrics]:
    """What a worker counts with: like those of several processes, they meet in files only."""
    share_metrics(directory, slot)
    metrics = Metrics()
    return metrics, metrics.of_model(NAME)


def samples(metrics: Metrics) -> dict[str, float]:
    """Name with labels, such as clas_requests_total{model="",path="/",status="200"} -> value."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def in_and_waiting(found: dict[str, float]) -> tuple[float, float]:
    """How many images came for the model, and how many are being answered."""
    return found[f"clas_images_total{{{MODEL}}}"], found[f"clas_queue_images{{{MODEL}}}"]


def test_one_process_shows_all_that_is_counted() -> None:
    metrics = Metrics()
    metrics.requests.labels("/", "200", "").inc()
    model = metrics.of_model(NAME)
    model.latency.observe(0.3)
    model.queue_time.observe(0.004)
    model.prepare_time.observe(0.002)
    model.compute_time.observe(0.03)
    model.failed_time.observe(0.5)
    model.batch_size.observe(8)
    model.images.inc(3)
    model.queue_images.set(2)
    model.count_load(is_success=True)
    model.count_load(is_success=False)
    model.count_load(is_success=False)
    found = samples(metrics)
    assert found['clas_requests_total{model="",path="/",status="200"}'] == 1
    assert found[f'clas_request_latency_seconds_bucket{{le="0.2",{MODEL}}}'] == 0
    assert found[f'clas_request_latency_seconds_bucket{{le="0.5",{MODEL}}}'] == 1
    assert found[f'clas_queue_seconds_bucket{{le="0.005",{MODEL}}}'] == 1
    assert found[f"clas_queue_seconds_sum{{{MODEL}}}"] == 0.004
    assert found[f"clas_prepare_seconds_sum{{{MODEL}}}"] == 0.002
    assert found[f"clas_compute_seconds_sum{{{MODEL}}}"] == 0.03
    assert found[f"clas_failed_request_seconds_sum{{{MODEL}}}"] == 0.5
    assert found[f'clas_batch_size_bucket{{le="4.0",{MODEL}}}'] == 0
    assert found[f'clas_batch_size_bucket{{le="8.0",{MODEL}}}'] == 1
    assert found[f"clas_images_total{{{MODEL}}}"] == 3
    assert found[f"clas_queue_images{{{MODEL}}}"] == 2
    assert found[f'clas_model_loads_total{{{MODEL},result="success"}}'] == 1
    assert found[f'clas_model_loads_total{{{MODEL},result="failure"}}'] == 2
    assert found["clas_process_memory_bytes"] > 10**6


def test_each_model_is_counted_by_itself() -> None:
    metrics = Metrics()
    metrics.of_model(NAME).images.inc(3)
    metrics.of_model("lily").images.inc(1)
    metrics.of_model(NAME).images.inc(1)
    found = samples(metrics)
    assert found[f"clas_images_total{{{MODEL}}}"] == 4
    assert found['clas_images_total{model="lily"}'] == 1


def test_a_model_is_there_before_it_is_asked_for() -> None:
    """So that rate() knows of its first requests."""
    metrics = Metrics()
    metrics.of_model(NAME)
    found = samples(metrics)
    for name in ("images_total", "queue_images", "request_latency_seconds_count", "batch_size_count"):
        assert found[f"clas_{name}{{{MODEL}}}"] == 0


def test_restarts_are_shown_where_there_is_a_parent() -> None:
    assert samples(Metrics(3))["clas_process_restarts_total"] == 3
    assert "clas_process_restarts_total" not in samples(Metrics())


def test_models_are_told_with_their_engines_once_these_are_known() -> None:
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
    models = [ModelFacts(NAME, True, engine), ModelFacts("lily", False, None)]
    text = Metrics().exposition(models).decode()
    labels = f'device="CPU",format="pdmodel",{MODEL},name="openvino",precision="bf16",version="1.2"'
    assert re.findall(r"^clas_engine_info{(.*)} 1.0$", text, re.MULTILINE) == [labels]
    ready = re.findall(r"^clas_model_ready{(.*)} (.*)$", text, re.MULTILINE)
    assert ready == [(MODEL, "1.0"), ('model="lily"', "0.0")]
    assert "clas_engine_info" not in Metrics().exposition(models[1:]).decode()
    assert "clas_engine_info" not in Metrics().exposition().decode()


def test_restarts_are_not_summed_over_the_workers(directory: Path) -> None:
    for slot in range(2):
        share_metrics(directory, slot)
        metrics = Metrics(3)
    assert samples(metrics)["clas_process_restarts_total"] == 3


def test_totals_are_over_all_workers_and_the_latest_time_is_the_last(directory: Path) -> None:
    for slot, seconds in enumerate((20.0, 10.0)):
        metrics, model = worker(directory, slot)
        model.images.inc(4)
        model.compute_time.observe(0.5)
        model.last_prediction.set(seconds)
        metrics.requests.labels("/", "200", NAME).inc()
        metrics.of_model("lily").images.inc()
    totals = metrics.totals()
    assert totals.keys() == {NAME, "lily"}
    assert totals["lily"]["clas_images_total"] == 2
    of_model = totals[NAME]
    assert of_model["clas_images_total"] == 8
    assert (of_model["clas_compute_seconds_count"], of_model["clas_compute_seconds_sum"]) == (2, 1)
    assert of_model["clas_last_prediction_timestamp_seconds"] == 20
    assert "clas_requests_total" not in of_model


def test_two_of_them_in_one_process_do_not_meddle() -> None:
    first, second = Metrics(), Metrics()
    second.of_model(NAME)
    first.of_model(NAME).images.inc()
    assert samples(second)[f"clas_images_total{{{MODEL}}}"] == 0


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
    for number, (metrics, model) in enumerate(workers, start=1):
        metrics.requests.labels("/", "200", "").inc(number)
        model.latency.observe(number)
        model.batch_size.observe(number)
        model.queue_images.set(10 * number)
        metrics.memory.set(1000 * number)
    for metrics, _ in workers:
        found = samples(metrics)
        assert found['clas_requests_total{model="",path="/",status="200"}'] == 3
        assert found[f"clas_request_latency_seconds_count{{{MODEL}}}"] == 2
        assert found[f"clas_request_latency_seconds_sum{{{MODEL}}}"] == 3
        assert found[f'clas_batch_size_bucket{{le="1.0",{MODEL}}}'] == 1
        assert found[f'clas_batch_size_bucket{{le="+Inf",{MODEL}}}'] == 2
        assert found[f"clas_queue_images{{{MODEL}}}"] == 30
        assert found["clas_process_memory_bytes"] == 3000


def test_a_dead_workers_counts_stay_but_not_its_memory_and_queue(directory: Path) -> None:
    first, second = worker(directory, 1), worker(directory, 2)
    for metrics, model in (first, second):
        model.images.inc(5)
        model.queue_images.set(3)
        metrics.memory.set(1000)
    forget_worker(directory, 1)
    found = samples(second[0])
    assert in_and_waiting(found) == (10, 3)
    assert found["clas_process_memory_bytes"] == 1000


def test_the_next_worker_in_a_slot_goes_on_with_its_counts(directory: Path) -> None:
    other, _ = worker(directory, 2)
    files = 0
    for generation in range(1, 4):
        metrics, model = worker(directory, 1)
        model.images.inc(5)
        model.batch_size.observe(1)
        metrics.requests.labels("/", "200", "").inc()
        found = samples(other)
        assert found[f"clas_images_total{{{MODEL}}}"] == 5 * generation
        assert found[f"clas_batch_size_count{{{MODEL}}}"] == generation
        assert found['clas_requests_total{model="",path="/",status="200"}'] == generation
        files = files or len(list(directory.iterdir()))
        assert len(list(directory.iterdir())) == files


@pytest.mark.parametrize("is_forgotten", [True, False])
def test_the_next_worker_in_a_slot_has_an_empty_queue(directory: Path, is_forgotten: bool) -> None:
    other, _ = worker(directory, 2)
    _, before = worker(directory, 1)
    before.queue_images.set(7)
    assert in_and_waiting(samples(other)) == (0, 7)
    if is_forgotten:
        forget_worker(directory, 1)
    worker(directory, 1)
    assert in_and_waiting(samples(other)) == (0, 0)


def test_counts_of_a_killed_process_are_gone_on_with(directory: Path, repository: Path) -> None:
    """With processes in place of what stands for them above."""
    me, _ = worker(directory, 1)

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
        assert in_and_waiting(samples(me)) == (4, 2)
        first.kill()
    forget_worker(directory, 2)
    assert in_and_waiting(samples(me)) == (4, 0)
    with start_worker() as second:
        assert in_and_waiting(samples(me)) == (8, 2)
        second.kill()
