from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from clas.engine.base import Batch, EngineClass, EngineInfo, Scores
from clas.engine.paddle import PaddleEngine
from clas.errors import ModelLoadError, ModelLostError
from clas.model.files import ModelFiles
from clas.serving.batching import predictor_process
from clas.serving.batching.predictor_process import PredictorProcess
from clas.serving.batching.runner import InProcessRunner, open_runner
from clas.serving.options import ServerOptions
from clas.settings import Settings
from engines import DiesInBf16, HangsInBf16, open_engine, settings_for
from tiny_models import needs_paddle, solid_batch, write_model


class Engine:
    """Answers each image with the mean of its channels, without a model."""

    name: ClassVar[str] = "mean"
    formats: ClassVar[Sequence[str]] = ("pdmodel",)
    install: ClassVar[str] = ""
    in_process: ClassVar[bool] = True

    @staticmethod
    def prepare_process() -> None:
        """It has no process of its own."""

    def __init__(self, files: ModelFiles, settings: Settings, concurrency: int = 0) -> None:
        if files.program.name == "missing":
            raise ModelLoadError("there is no model")
        self.batches: list[Batch] = []
        self.info = EngineInfo(
            name=self.name,
            version="1",
            format="pdmodel",
            input_shape=(None, 3, 32, 32),
            num_outputs=3,
            batch_limit=settings.batch_limit,
            concurrency=concurrency or 1,
            device="CPU",
            mkldnn=False,
            precision="fp32",
            num_threads=1,
        )

    def ensure_open(self) -> None:
        """It is never lost."""

    def run(self, batch: Batch) -> Scores:
        self.batches.append(batch)
        scores: Scores = batch.mean((2, 3))
        return scores


FILES = ModelFiles(Path("program"), Path("weights"))


def test_parts_are_joined_in_order_and_one_part_is_not_copied() -> None:
    engine = Engine(FILES, Settings())
    runner = InProcessRunner(engine)
    parts = solid_batch(2), solid_batch(0, 1)
    assert runner.run(*parts).argmax(axis=1).tolist() == [2, 0, 1]
    assert len(engine.batches[0]) == 3
    runner.run(parts[1])
    assert engine.batches[1] is parts[1]


def test_a_model_of_one_batch_size_takes_fewer_images_and_parts(tmp_path: Path) -> None:
    runner = InProcessRunner(open_engine(write_model(tmp_path, input_shape=(4, 3, 32, 32))))
    assert runner.info.batch_limit == 4
    assert runner.run(solid_batch(2), solid_batch(0, 1)).argmax(axis=1).tolist() == [2, 0, 1]
    assert runner.run(solid_batch(1)).argmax(axis=1).tolist() == [1]
    assert runner.run(solid_batch(1, 1, 0, 2)).argmax(axis=1).tolist() == [1, 1, 0, 2]


def test_it_is_alive_until_it_is_closed() -> None:
    runner = InProcessRunner(Engine(FILES, Settings()))
    assert runner.is_alive
    runner.close()
    assert not runner.is_alive


def test_an_engine_that_may_run_here_does() -> None:
    runner = open_runner(Engine, FILES, Settings(max_batch_size=7), ServerOptions())
    assert isinstance(runner, InProcessRunner)
    assert runner.info.batch_limit == 7
    with pytest.raises(ModelLoadError, match="there is no model"):
        open_runner(Engine, ModelFiles(Path("missing"), Path("weights")), Settings(), ServerOptions())


@needs_paddle
def test_an_engine_that_holds_pythons_lock_gets_a_process_of_its_own(tiny_model: Path) -> None:
    files = ModelFiles(tiny_model / "inference.pdmodel", tiny_model / "inference.pdiparams")
    runner = open_runner(PaddleEngine, files, settings_for(tiny_model, cpu_num_threads=1), ServerOptions())
    try:
        assert isinstance(runner, PredictorProcess)
        np.testing.assert_array_equal(runner.run(solid_batch(1)).argmax(axis=1), [1])
    finally:
        runner.close()


@needs_paddle
@pytest.mark.parametrize(
    ("engine_class", "limit_s", "reason"),
    [(HangsInBf16, 3, "hasn't answered within 3 s"), (DiesInBf16, 120, "has died, with status -9")],
)
def test_a_model_whose_process_is_lost_in_bf16_runs_in_fp32(
    tiny_model: Path,
    engine_class: EngineClass,
    limit_s: float,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(predictor_process, "_BF16_LOAD_TIMEOUT_S", limit_s)
    files = ModelFiles(tiny_model / "inference.pdmodel", tiny_model / "inference.pdiparams")
    settings = settings_for(tiny_model, cpu_num_threads=1, precision="bf16")
    runner = open_runner(engine_class, files, settings, ServerOptions())
    try:
        assert (runner.info.precision, runner.info.mkldnn) == ("fp32", True)
        assert runner.run(solid_batch(2)).argmax() == 2
    finally:
        runner.close()
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("the model doesn't run in bf16, continuing in fp32: ")
    assert warning.endswith(f"the model's process {reason}")


@needs_paddle
def test_a_model_that_is_not_loaded_in_time_ends_the_start_in_one_sentence(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor_process, "_LOAD_TIMEOUT_S", 0.01)
    files = ModelFiles(tiny_model / "inference.pdmodel", tiny_model / "inference.pdiparams")
    with pytest.raises(ModelLostError, match="can't be loaded: the model's process hasn't answered within"):
        open_runner(PaddleEngine, files, settings_for(tiny_model), ServerOptions())
