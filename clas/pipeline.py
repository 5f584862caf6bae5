"""The input and the output of a loaded model: all of a classifier except the engine."""

import logging
from typing import Final, TypedDict

from .engine.base import EngineInfo
from .image.model_input import ModelInput
from .model.exported import ExportedModel
from .output.choice import make_postprocessor

_LOGGER: Final = logging.getLogger("clas_system")


class Description(TypedDict):
    """What is loaded, and how it runs; holds no path of the machine."""

    name: str
    format: str
    input_shape: list[int | None]
    classes: int
    labels: int
    main_indicator: str
    threshold: float | None
    top_k: int
    preprocess: dict[str, object]
    inference_yml: bool
    device: str
    mkldnn: bool
    precision: str
    threads: int
    max_batch_size: int


class Pipeline:
    """The input and the output of a loaded model.

    Args:
        model: The exported model.
        engine: How its engine runs.

    Attributes:
        model: As given.
        engine: As given; may be replaced when the model is loaded again.
        input: Turns images into the model's input.
        output: Turns scores into results.

    Raises:
        SettingsError: The settings don't fit the model.
    """

    def __init__(self, model: ExportedModel, engine: EngineInfo) -> None:
        self.model = model
        self.engine = engine
        self.output = make_postprocessor(model.settings, engine.num_outputs, model.labels)
        self.input = ModelInput(model.settings, engine.input_shape)
        self._log()

    def describe(self) -> Description:
        """Describe what is loaded, and how it runs."""
        model, settings, engine = self.model, self.model.settings, self.engine
        return {
            "name": model.name,
            "format": model.files.format,
            "input_shape": list(engine.input_shape),
            "classes": self.output.num_classes,
            "labels": len(model.labels),
            "main_indicator": settings.main_indicator,
            "threshold": None if settings.main_indicator == "Topk" else settings.threshold,
            "top_k": self.output.k,
            "preprocess": model.preprocess,
            "inference_yml": model.config is not None,
            "device": engine.device,
            "mkldnn": engine.mkldnn,
            "precision": engine.precision,
            "threads": engine.num_threads,
            "max_batch_size": engine.batch_limit,
        }

    def _log(self) -> None:
        settings, labels, num_classes = self.model.settings, self.model.labels, self.output.num_classes
        if settings.use_gpu and settings.enable_mkldnn:
            _LOGGER.warning("enable_mkldnn is for the CPU: ignored, the GPU is used")
        if settings.main_indicator != "Topk":
            _LOGGER.info("main_indicator: %s, threshold: %g", settings.main_indicator, settings.threshold)
        label_file = self.model.label_file or "no file"
        _LOGGER.info("top_k: %d, labels: %d (%s)", self.output.k, len(labels), label_file)
        if labels and labels.keys() != set(range(num_classes)):
            _LOGGER.warning(
                "%d labels with ids %d to %d, but the model has %d classes, 0 to %d",
                len(labels),
                min(labels),
                max(labels),
                num_classes,
                num_classes - 1,
            )


def log_engine(engine: EngineInfo) -> None:
    """Log how a model runs, each time it was loaded."""
    if engine.device == "GPU":
        _LOGGER.info("device: GPU, MKL-DNN: off")
        return
    _LOGGER.info(
        "device: CPU, MKL-DNN: %s, precision: %s, threads: %d",
        "on" if engine.mkldnn else "off",
        engine.precision,
        engine.num_threads,
    )
