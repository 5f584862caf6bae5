from clas.serving.metrics import Metrics
from clas.serving.on_ray.joined_metrics import join_metrics


def exposition(name: str, images: int) -> bytes:
    metrics = Metrics()
    of_model = metrics.of_model(name)
    of_model.images.inc(images)
    of_model.latency.observe(0.3)
    of_model.last_prediction.set(1_700_000_000.5)
    metrics.requests.labels("other", "404", "").inc(2)
    metrics.memory.set(100)
    return metrics.exposition()


def test_each_model_keeps_its_own_and_what_is_of_none_is_summed() -> None:
    lines = join_metrics([exposition("flowers", 3), exposition("birds", 1)]).decode().splitlines()
    for line in (
        'clas_images_total{model="flowers"} 3.0',
        'clas_images_total{model="birds"} 1.0',
        'clas_request_latency_seconds_bucket{le="0.5",model="birds"} 1.0',
        'clas_last_prediction_timestamp_seconds{model="flowers"} 1.7000000005e+09',
        'clas_requests_total{model="",path="other",status="404"} 4.0',
        "clas_process_memory_bytes 200.0",
    ):
        assert line in lines, [one for one in lines if one.startswith(line[:20])]


def test_each_metric_is_described_once_as_prometheus_wants_it() -> None:
    lines = join_metrics([exposition("flowers", 3), exposition("birds", 1)]).decode().splitlines()
    heads = [line for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    assert "# TYPE clas_images_total counter" in heads
    alone = exposition("flowers", 3).decode().splitlines()
    assert set(heads) == {line for line in alone if line.startswith("# TYPE")}


def test_one_text_stays_as_it_is() -> None:
    alone = exposition("flowers", 3)
    assert sorted(join_metrics([alone]).splitlines()) == sorted(alone.splitlines())
