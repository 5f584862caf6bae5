import base64
import hashlib
import itertools
import re
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
from starlette.requests import Request

from clas.protocol import MODULE_NAME, PREDICT_PATH, VERSION
from clas.serving.http import app
from clas.serving.metrics import Metrics
from clas.serving.options import ServerOptions
from gates import Gate, wait_until
from limits import no_descriptors
from served import Served, assert_refused, best, encoded, served, unloaded
from tiny_models import needs_paddle, solid_batch, write_model


@pytest.fixture(scope="module")
def service(tiny_model: Path) -> Iterator[Served]:
    with served(tiny_model) as running:
        yield running


@needs_paddle
def test_the_front_page_tells_what_runs_here_without_any_path(service: Served, tiny_model: Path) -> None:
    response = service.client.get("/")
    options = ServerOptions()
    assert response.json() == {
        "name": "clas_system",
        "version": VERSION,
        "state": "ready",
        "model": {
            "name": tiny_model.name,
            "format": "pdmodel",
            "input_shape": [None, 3, 32, 32],
            "input_dtype": "float32",
            "output_name": service.pool.pipeline.engine.output_name if service.pool.pipeline else None,
            "ignored_outputs": [],
            "classes": 6,
            "labels": 0,
            "main_indicator": "Topk",
            "threshold": None,
            "postprocess": {"topk": 5, "min_score": 0},
            "top_k": 5,
            "softmax": False,
            "warnings": [],
            "preprocess": {
                "resize_short": 32,
                "crop_size": 32,
                "resize_size": [],
                "interpolation": "bilinear",
                "resize_backend": "cv2",
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
                "scale": 1 / 255,
            },
            "inference_yml": False,
            "device": "CPU",
            "engine": "paddle",
            "engine_version": version("paddlepaddle"),
            "engines_passed_over": {},
            "mkldnn": True,
            "precision": "fp32",
            "threads": 1,
            "max_batch_size": 4,
        },
        "workers": 1,
        "predictors": {"serving": 1, "wanted": 1},
        "limits": {
            "max_request_bytes": options.max_request_bytes,
            "max_queue_images": options.max_queue_images,
            "max_queue_bytes": options.max_queue_bytes,
            "timeout_s": options.timeout_s,
        },
        "predict": PREDICT_PATH,
        "models": [
            {
                "name": MODULE_NAME,
                "state": "ready",
                "reason": "",
                "version": service.pool.version,
                "predict": PREDICT_PATH,
                "predictors": {"serving": 1, "wanted": 1},
                "model": response.json()["model"],
            }
        ],
        "docs": "/docs",
        "ui": "/ui",
    }
    assert str(tiny_model.parent) not in response.text


def test_a_service_that_is_up_is_live_and_ready(service: Served) -> None:
    for path, status in (("/health/live", "live"), ("/health/ready", "ready")):
        response = service.client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": status})


def test_until_the_model_is_loaded_the_service_is_live_but_not_ready(tiny_model: Path) -> None:
    gate = Gate()
    with gate.closed(), served(tiny_model, before_load=gate.enter, wait=False) as service:
        gate.wait_for_arrival()
        assert service.client.get("/health/live").status_code == 200
        assert_refused(service.client.get("/health/ready"), 503, "the model is being loaded")
        assert_refused(service.post(json=encoded(0)), 503, "the model is being loaded")
        front = service.client.get("/").json()
        assert (front["state"], front["model"]) == ("loading", None)
        gate.open()
        wait_until(lambda: service.client.get("/health/ready").status_code == 200)
        assert best(service.post(json=encoded(0))) == [0]


def test_while_the_model_is_loaded_again_the_service_is_not_ready_but_queues_requests(
    tiny_model: Path,
) -> None:
    gate = Gate()
    with served(tiny_model, before_load=gate.enter) as service, gate.closed():
        service.runner.is_alive = False
        gate.wait_for_arrival()
        wait_until(lambda: service.pool.is_loading)
        assert_refused(service.client.get("/health/ready"), 503, "the model is being loaded again")
        front = service.client.get("/").json()
        assert (front["state"], front["model"]["classes"]) == ("loading", 6)
        job = service.pool.submit(solid_batch(1), time.monotonic() + 10)
        gate.open()
        assert job.scores.result(10).argmax() == 1
        assert service.client.get("/health/ready").status_code == 200


def test_a_lost_model_whose_files_have_changed_is_refused_with_the_reason_until_they_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clas.serving.batching.pool_member._BACK_OFF_S", 0.01)
    weights = write_model(tmp_path) / "inference.pdiparams"
    content = weights.read_bytes()
    reason = "the model's files have changed since the start: restart, or reload"
    with served(tmp_path) as service:
        weights.write_bytes(content[:-1] + b"1")
        service.runner.is_alive = False
        wait_until(lambda: reason in service.client.get("/health/ready").text)
        assert_refused(service.client.get("/health/ready"), 503, reason)
        assert_refused(service.post(json=encoded(0)), 503, reason)
        assert service.client.get("/health/live").status_code == 200
        weights.write_bytes(content)
        wait_until(lambda: service.client.get("/health/ready").status_code == 200)
        assert best(service.post(json=encoded(0))) == [0]


def test_a_service_that_stops_is_not_ready(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        assert service.pool.close(10)
        assert_refused(service.client.get("/health/ready"), 503, "the server is stopping")
        assert_refused(service.post(json=encoded(0)), 503, "the server is stopping")
        assert service.client.get("/health/live").status_code == 200


def test_a_service_whose_model_hangs_is_not_live(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tiny_model, timeout_s=5) as service:
        wait_until(lambda: service.pool.beats)
        [server] = service.pool._batcher._members
        monkeypatch.setattr(server, "busy_since", time.monotonic() - 14.5)
        assert service.client.get("/health/live").status_code == 200
        monkeypatch.setattr(server, "busy_since", time.monotonic() - 15.5)
        refused = service.client.get("/health/live")
        assert_refused(refused, 503, "the model has been at one batch for 15 s")


def test_a_service_whose_decoder_hangs_is_not_live(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tiny_model, timeout_s=5) as service:
        now = time.monotonic()
        monkeypatch.setattr(service.decoders, "_busy_since", {1: now, 2: now - 14.5})
        assert service.client.get("/health/live").status_code == 200
        monkeypatch.setattr(service.decoders, "_busy_since", {1: now, 2: now - 15.5})
        refused = service.client.get("/health/live")
        assert_refused(refused, 503, "a decoder has been at one request for 15 s")


def test_prometheus_reads_all_that_is_counted(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        assert best(service.post(json=encoded(0, 1, 2))) == [0, 1, 2]
        service.post(json={})
        response = service.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    for line in (
        f'clas_requests_total{{model="{MODULE_NAME}",path="{PREDICT_PATH}",status="200"}} 1.0',
        f'clas_requests_total{{model="{MODULE_NAME}",path="{PREDICT_PATH}",status="400"}} 1.0',
        f'clas_request_latency_seconds_count{{model="{MODULE_NAME}"}} 2.0',
        f'clas_queue_seconds_count{{model="{MODULE_NAME}"}} 1.0',
        f'clas_batch_size_sum{{model="{MODULE_NAME}"}} 3.0',
        f'clas_batch_size_count{{model="{MODULE_NAME}"}} 1.0',
        f'clas_images_total{{model="{MODULE_NAME}"}} 3.0',
        f'clas_queue_images{{model="{MODULE_NAME}"}} 0.0',
        f'clas_model_ready{{model="{MODULE_NAME}"}} 1.0',
    ):
        assert line in response.text.splitlines()


def test_memory_is_read_again_every_now_and_then(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_TICK_S", 0.001)
    reads: list[object] = []
    read = Metrics.update_memory

    def counted(self: Metrics) -> None:
        reads.append(self)
        read(self)

    monkeypatch.setattr(Metrics, "update_memory", counted)
    with served(tiny_model):
        wait_until(lambda: len(reads) > 3)


def test_a_shortage_of_descriptors_is_logged_once_and_over_when_it_is_over(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each shortage and application: that of the other tests is there, too."""
    monkeypatch.setattr(app, "_TICK_S", 0.001)
    outcomes: dict[int, list[bool]] = {}
    read = Metrics.update_memory

    def noted(self: Metrics) -> None:
        mine = outcomes.setdefault(id(self), [True])
        mine.append(False)
        read(self)
        mine[-1] = True

    monkeypatch.setattr(Metrics, "update_memory", noted)
    with served(tiny_model):
        with no_descriptors():
            wait_until(lambda: "the memory can't be measured" in caplog.text)
            before = sum(map(len, outcomes.values()))
            wait_until(lambda: sum(map(len, outcomes.values())) > before + 8)
        wait_until(lambda: all(all(mine[-4:-1]) for mine in outcomes.values()))
    shortages = [was and not now for mine in outcomes.values() for was, now in itertools.pairwise(mine)]
    assert caplog.text.count("the memory can't be measured: [Errno 24] Too many open files") == sum(shortages)
    assert sum(shortages) < sum(mine.count(False) for mine in outcomes.values())


def test_memory_is_read_outside_the_event_loop(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(app, "_TICK_S", 0.001)
    read: list[object] = []

    def enter(self: Metrics) -> None:
        try:
            gate.enter()
        finally:
            read.append(self)

    with served(tiny_model) as service, gate.closed():
        monkeypatch.setattr(Metrics, "update_memory", enter)
        gate.wait_for_arrival()
        assert best(service.post(json=encoded(1))) == [1]
        assert not read


def test_the_documentation_is_a_page_that_finds_all_it_needs(service: Served) -> None:
    page = service.client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    for asset, kind in (("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "javascript")):
        assert f'"docs/assets/{asset}"' in page.text
        response = service.client.get(f"/docs/assets/{asset}")
        assert response.status_code == 200
        assert kind in response.headers["Content-Type"]
    assert '"openapi.json"' in page.text
    assert service.client.get("/openapi.json").json()["info"]["title"] == "clas_system"


@pytest.mark.parametrize("path", ["/docs", "/docs/assets/swagger-ui-bundle.js"])
def test_the_documentation_runs_no_script_but_its_own(service: Served, path: str) -> None:
    response = service.client.get(path)
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    source, own = policy["script-src"].split(" ")
    assert source == "'self'"
    scripts = re.findall(r"<script>(.*?)</script>", service.client.get("/docs").text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert [own] == [f"'sha256-{digest}'" for digest in hashes]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/predict",
        "/predict/resnet50/x",
        "/robots.txt",
        "/docs/assets/none.js",
        "/docs/assets/",
        "/docs/assets/..%2F..%2Fetc%2Fpasswd",
        "/docs/assets/%00",
        f"/docs/assets/{'x' * 5000}",
        "/%FF%0A",
        f"/{'x' * 5000}",
    ],
)
def test_a_path_that_nothing_is_at_is_refused_shortly(service: Served, path: str) -> None:
    response = service.client.get(path)
    assert_refused(response, 404, "there is nothing at /")
    assert response.json()["msg"].endswith(f"; predictions are at {PREDICT_PATH}")
    assert len(response.json()["msg"]) < 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PREDICT_PATH, {"POST"}),
        ("PUT", PREDICT_PATH, {"POST"}),
        ("OPTIONS", PREDICT_PATH, {"POST"}),
        ("GET", "/predict/resnet50", {"POST"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("DELETE", "/metrics", {"GET", "HEAD"}),
        ("POST", "/docs/assets/swagger-ui.css", {"GET", "HEAD"}),
    ],
)
def test_a_method_that_is_not_for_its_path_is_refused_with_those_that_are(
    service: Served, method: str, path: str, allowed: set[str]
) -> None:
    response = service.client.request(method, path)
    assert_refused(response, 405, f"{method} is not allowed for {path}")
    hint = "; predictions are at /predict/clas_system"
    assert response.json()["msg"].endswith(hint) is (method == "POST")
    assert set(response.headers["Allow"].split(", ")) == allowed


def test_the_address_of_predictions_may_end_in_a_slash(service: Served) -> None:
    """And no redirection is needed, which curl and browsers don't follow, or follow without the body."""
    body = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    headers = {"Content-Type": "image/png"}
    answers = [
        service.client.post(path, content=body, headers=headers, follow_redirects=False)
        for path in (PREDICT_PATH, f"{PREDICT_PATH}/")
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    first, second = (answer.json()["results"]["prediction"] for answer in answers)
    assert first == second


def test_what_is_no_refusal_of_a_path_is_left_to_others() -> None:
    with pytest.raises(ZeroDivisionError):
        app._refuse_path(unloaded(Metrics()), Request({"type": "http"}), ZeroDivisionError())
