"""An engine as a pool member uses it: in this process, or in one of its own."""

import dataclasses
import logging
from typing import Final, Protocol

import numpy as np

from ...engine.base import Batch, Engine, EngineClass, EngineInfo, Scores
from ...errors import ModelLostError
from ...model.files import ModelFiles
from ...settings import Settings
from ..options import ServerOptions
from .predictor_process import PredictorProcess

_LOGGER: Final = logging.getLogger("clas_system")


class Runner(Protocol):
    """A loaded model that may be lost, and is loaded again then."""

    info: EngineInfo

    @property
    def is_alive(self) -> bool:
        """Whether it can still run."""

    def run(self, *parts: Batch) -> Scores:
        """Compute the scores of a batch.

        Args:
            parts: The batch in one part or several, each [n, C, H, W] float32, C-contiguous.

        Returns:
            [N, num_outputs] float32, N the sum of all n.

        Raises:
            PredictionError: The model failed.
            UnavailableError: The model is lost.
        """

    def close(self) -> None:
        """Free the model."""


class InProcessRunner:
    """An engine in this process.

    Args:
        engine: The loaded model.
    """

    def __init__(self, engine: Engine) -> None:
        self.info = engine.info
        self.is_alive = True
        self._engine = engine

    def run(self, *parts: Batch) -> Scores:
        """Compute the scores of a batch; see `Runner.run`."""
        return self._engine.run(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def another(self) -> "InProcessRunner":
        """Return a runner of the same engine, for another thread."""
        return InProcessRunner(self._engine)

    def close(self) -> None:
        """Mark it as closed."""
        self.is_alive = False


def open_runner(
    engine_class: EngineClass, files: ModelFiles, settings: Settings, options: ServerOptions
) -> Runner:
    """Load a model where its engine may run; in fp32 if bf16 takes its process away.

    Some programs crash Paddle when it turns them to bf16, or keep it busy for ever.

    Args:
        engine_class: What loads and runs it.
        files: The model.
        settings: Device and options.
        options: Read for predictors, the log and timeout_s.

    Raises:
        StartupError: It can't be loaded.
    """
    if engine_class.in_process:
        return InProcessRunner(engine_class(files, settings, options.predictors))
    try:
        return PredictorProcess(files, settings, options, engine_class)
    except ModelLostError as exc:
        if settings.precision != "bf16":
            raise
        _LOGGER.warning("the model doesn't run in bf16, continuing in fp32: %s", exc)
    in_fp32 = dataclasses.replace(settings, precision="fp32")
    return PredictorProcess(files, in_fp32, options, engine_class)
