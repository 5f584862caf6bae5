from pathlib import Path

import pytest
from starlette.testclient import TestClient

from clas.errors import SettingsError
from clas.protocol import PREDICT_PATH
from clas.serving.batching.predictor_process import PredictorProcess
from clas.serving.launch import Launch
from clas.serving.metrics import Metrics
from clas.serving.options import ServerOptions
from clas.serving.service import build_service
from gates import wait_until
from served import HeldRunner, assert_refused, best, encoded, settings_of
from tiny_models import needs_paddle

VALID = "0123456789abcdef"


def launch_of(model: Path, num_workers: int = 0, **options: object) -> Launch:
    all_options = ServerOptions(**options)  # type: ignore[arg-type]
    return Launch(options=all_options, settings=settings_of(model), num_workers=num_workers)


def test_nothing_is_loaded_until_the_application_starts(tmp_path: Path) -> None:
    service = build_service(launch_of(tmp_path / "nothing"))
    assert service.pool.is_loading
    assert service.pool.predictors == (0, 1)
    assert service.pool.close(0)


def test_the_parts_belong_together(tiny_model: Path, tmp_path: Path) -> None:
    """Options, tokens, metrics and predictors of one launch meet in the application."""
    (tmp_path / "tokens.txt").write_text(VALID)
    metrics = Metrics()
    launch = launch_of(tiny_model, num_workers=3, token_file=str(tmp_path / "tokens.txt"), timeout_s=7.0)
    service = build_service(launch, metrics, HeldRunner)
    assert service.options is launch.options
    with TestClient(service.app) as client:
        wait_until(lambda: not service.pool.is_loading)
        assert_refused(client.post(PREDICT_PATH, json=encoded(0)), 401, "a valid token is needed")
        client.headers["Authorization"] = f"Bearer {VALID}"
        assert best(client.post(PREDICT_PATH, json=encoded(0, 1, 2))) == [0, 1, 2]
        front = client.get("/").json()
    assert (front["workers"], front["limits"]["timeout_s"]) == (3, 7)
    exposition = metrics.exposition().decode()
    assert "clas_batch_size_sum 3.0" in exposition
    assert "clas_images_total 3.0" in exposition
    assert service.pool.close(10)


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
        wait_until(lambda: not service.pool.is_loading)
        assert best(client.post(PREDICT_PATH, json=encoded(2))) == [2]
    assert service.pool.close(10)
    [process] = opened
    assert process.info.num_outputs == 6
    assert not process.is_alive
