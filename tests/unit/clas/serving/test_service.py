import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from clas.errors import SettingsError, UnavailableError
from clas.protocol import MODULE_NAME, PREDICT_PATH
from clas.serving.batching.predictor_process import PredictorProcess
from clas.serving.launch import Launch
from clas.serving.metrics import Metrics
from clas.serving.models.changes import OwnChanges
from clas.serving.models.served_model import State
from clas.serving.options import ServerOptions
from clas.serving.service import build_service
from gates import wait_until
from served import HeldRunner, assert_refused, best, encoded, served, settings_of
from tiny_models import needs_paddle, solid_batch
from wire import encode

VALID = "0123456789abcdef"


def launch_of(model: Path, num_workers: int = 0, **options: object) -> Launch:
    all_options = ServerOptions(**options)  # type: ignore[arg-type]
    models = {MODULE_NAME: settings_of(model)}
    return Launch(options=all_options, models=models, num_workers=num_workers)


def test_nothing_is_loaded_until_the_application_starts(tmp_path: Path) -> None:
    service = build_service(launch_of(tmp_path / "nothing"))
    [model] = service.models
    assert (model.name, model.state, model.pool) == (MODULE_NAME, State.IDLE, None)
    assert service.models.close(0)


def test_the_parts_belong_together(tiny_model: Path, tmp_path: Path) -> None:
    """Options, tokens, metrics and predictors of one launch meet in the application."""
    (tmp_path / "tokens.txt").write_text(VALID)
    metrics = Metrics()
    launch = launch_of(tiny_model, num_workers=3, token_file=str(tmp_path / "tokens.txt"), timeout_s=7.0)
    service = build_service(launch, metrics, HeldRunner)
    assert service.options is launch.options
    with TestClient(service.app) as client:
        wait_until(lambda: not service.models.is_loading)
        assert_refused(client.post(PREDICT_PATH, json=encoded(0)), 401, "a valid token is needed")
        client.headers["Authorization"] = f"Bearer {VALID}"
        assert best(client.post(PREDICT_PATH, json=encoded(0, 1, 2))) == [0, 1, 2]
        front = client.get("/").json()
    assert (front["workers"], front["limits"]["timeout_s"]) == (3, 7)
    exposition = metrics.exposition().decode()
    assert 'clas_batch_size_sum{model="clas_system"} 3.0' in exposition
    assert 'clas_images_total{model="clas_system"} 3.0' in exposition
    assert service.models.close(10)


def test_a_model_leaves_room_for_the_requests_of_others(flowers: Path, threads: ThreadPoolExecutor) -> None:
    limits: dict[str, Any] = {"max_queue_bytes": 80_000, "max_request_bytes": 20_000}
    request = {"json": encode(solid_batch(1))}  # of some 16,500 bytes
    with served(repository=flowers, **limits) as service:

        def ask(name: str) -> Any:
            return service.client.post(f"/predict/{name}", **request)

        with service.runner_of("rose").gate.closed():
            waiting = [threads.submit(ask, "rose") for _ in range(2)]
            wait_until(lambda: '_images{model="rose"} 2.0' in service.client.get("/metrics").text)
            assert_refused(ask("rose"), 503, "the queue is full: 32906 of 40000 bytes")
            assert best(ask("lily")) == [1]
        assert [best(future.result(10)) for future in waiting] == [[1], [1]]
        assert best(ask("rose")) == [1]


def test_the_only_model_has_all_the_room(flowers: Path, threads: ThreadPoolExecutor) -> None:
    limits: dict[str, Any] = {"max_queue_bytes": 40_000, "max_request_bytes": 20_000}
    request = {"json": encode(solid_batch(1))}
    with served(flowers / "rose", **limits) as service:
        with service.runner.gate.closed():
            waiting = [threads.submit(service.post, **request) for _ in range(2)]
            wait_until(lambda: service.queued_images() == 2)
            assert_refused(service.post(**request), 503, "the queue is full: 3")
        assert [best(future.result(10)) for future in waiting] == [[1], [1]]


def test_one_request_of_the_largest_size_always_has_room(flowers: Path) -> None:
    with served(repository=flowers, max_queue_bytes=20_000, max_request_bytes=20_000) as service:
        for name in ("rose", "lily"):
            response = service.client.post(f"/predict/{name}", json=encode(solid_batch(1)))
            assert best(response) == [1]


def test_what_changes_models_may_be_of_ones_own(flowers: Path) -> None:
    launch = launch_of(flowers / "rose")
    assert isinstance(build_service(launch).changes, OwnChanges)
    assert build_service(launch, open_changes=lambda _: None).changes is None


def test_folders_are_watched_if_somebody_wants_that_and_may_change_models(flowers: Path) -> None:
    assert build_service(launch_of(flowers / "rose")).watch is None
    assert build_service(launch_of(flowers / "rose", watch=1.0)).watch
    assert build_service(launch_of(flowers / "none", watch=1.0)).watch
    assert build_service(launch_of(flowers / "rose", watch=1.0), open_changes=lambda _: None).watch is None


def test_a_server_one_of_whose_models_hangs_is_not_well(flowers: Path) -> None:
    with served(repository=flowers) as running:
        service = build_service(launch_of(flowers / "rose"))
        service.check_health()
        pool = running.models["lily"].pool
        assert pool
        wait_until(lambda: pool.beats)
        [member] = pool._batcher._members
        member.busy_since = time.monotonic() - 41
        with pytest.raises(UnavailableError, match="the model has been at one batch for 41 s"):
            service._replace(models=running.models).check_health()
        member.busy_since = None
        service._replace(models=running.models).check_health()


def test_an_invalid_token_file_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"token_file .* can't be read"):
        build_service(launch_of(tmp_path, token_file=str(tmp_path / "none")))


@needs_paddle
def test_without_another_engine_the_model_is_paddles_in_a_process_of_its_own(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[PredictorProcess] = []
    run = PredictorProcess.run

    def recorded(self: PredictorProcess, *parts: object) -> object:
        opened.append(self)
        return run(self, *parts)  # type: ignore[arg-type]

    monkeypatch.setattr(PredictorProcess, "run", recorded)
    service = build_service(launch_of(tiny_model))
    with TestClient(service.app) as client:
        wait_until(lambda: not service.models.is_loading)
        assert best(client.post(PREDICT_PATH, json=encoded(2))) == [2]
    assert service.models.close(10)
    [process] = opened
    assert process.info.num_outputs == 6
    assert not process.is_alive
