"""The input and the output of a loaded model: all of a classifier except the engine."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypedDict

from .engine.base import EngineInfo
from .image.layout import image_size
from .image.model_input import ModelInput
from .model.exported import ExportedModel
from .model.label_fit import fit_labels
from .output.choice import make_postprocessor

_LOGGER: Final = logging.getLogger("clas_system")


class Description(TypedDict):
    """What is loaded, and how it runs; holds no path of the machine."""

    name: str
    format: str
    input_shape: list[int | None]
    input_dtype: str
    output_name: str
    ignored_outputs: list[str]
    classes: int
    labels: int
    main_indicator: str
    threshold: object
    postprocess: dict[str, object]
    top_k: int
    softmax: bool
    warnings: list[str]
    preprocess: dict[str, object]
    inference_yml: bool
    device: str
    engine: str
    engine_version: str
    engines_passed_over: dict[str, str]
    mkldnn: bool
    precision: str
    threads: int
    max_batch_size: int


class Pipeline:
    """The input and the output of a loaded model.

    Args:
        model: The exported model.
        engine: How its engine runs.
        passed_over: See `Choice`.

    Attributes:
        model: As given.
        engine: As given; may be replaced when the model is loaded again.
        input: Turns images into the model's input.
        output: Turns scores into results.

    Raises:
        SettingsError: The settings don't fit the model.
        LabelFileError: The labels don't.
    """

    def __init__(
        self, model: ExportedModel, engine: EngineInfo, passed_over: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.model = model
        self.engine = engine
        labels, label_warning = fit_labels(model, engine.num_outputs)
        self.output = make_postprocessor(model.settings, engine.num_outputs, labels, engine.scores)
        self.input = ModelInput(model.settings, engine.input_shape, engine.input_dtype)
        self._passed_over = passed_over
        found = (*model.warnings, _of_sizes(engine), label_warning, self.input.warning)
        self._warnings = [text for text in found if text]
        self._log()

    @property
    def warnings(self) -> list[str]:
        """What may make results wrong, as said in the log."""
        of_scores = self.output.probabilities.warning
        return [*self._warnings, of_scores] if of_scores else self._warnings

    def describe(self) -> Description:
        """Describe what is loaded, and how it runs."""
        model, settings, engine = self.model, self.model.settings, self.engine
        return {
            "name": model.name,
            "format": engine.format,
            "input_shape": list(engine.input_shape),
            "input_dtype": engine.input_dtype,
            "output_name": engine.output_name,
            "ignored_outputs": list(engine.ignored_outputs),
            "classes": self.output.num_classes,
            "labels": len(self.output.labels),
            "main_indicator": settings.main_indicator,
            "threshold": settings.result_options.get("threshold"),
            "postprocess": settings.result_options,
            "top_k": self.output.k,
            "softmax": self.output.probabilities.softmax,
            "warnings": self.warnings,
            "preprocess": model.preprocess,
            "inference_yml": model.config is not None,
            "device": engine.device,
            "engine": engine.name,
            "engine_version": engine.version,
            "engines_passed_over": dict(self._passed_over),
            "mkldnn": engine.mkldnn,
            "precision": engine.precision,
            "threads": engine.num_threads,
            "max_batch_size": engine.batch_limit,
        }

    def _log(self) -> None:
        settings, engine, labels = self.model.settings, self.engine, self.output.labels
        if settings.use_gpu and settings.enable_mkldnn:
            _LOGGER.warning("enable_mkldnn is for the CPU: ignored, the GPU is used")
        if engine.ignored_outputs:
            ignored = ", ".join(engine.ignored_outputs)
            _LOGGER.info("output: %r; ignored: %s", engine.output_name, ignored)
        if settings.main_indicator != "Topk":
            options = ", ".join(f"{name}: {value}" for name, value in settings.result_options.items())
            _LOGGER.info("main_indicator: %s, %s", settings.main_indicator, options)
        is_from_file = bool(labels) and len(labels) == len(self.model.labels)
        label_file = (self.model.label_file if is_from_file else None) or "no file"
        _LOGGER.info("top_k: %d, labels: %d (%s)", self.output.k, len(labels), label_file)
        for warning in self.warnings:
            _LOGGER.warning("%s", warning)


def _of_sizes(engine: EngineInfo) -> str:
    """Say so if images have another size than the program declares."""
    if not engine.declared_shape:
        return ""
    declared, used = (_size_text(image_size(shape)) for shape in (engine.declared_shape, engine.input_shape))
    return f"the model declares images of {declared}; it runs on {used}, as its inference.yml says"


def _size_text(size: tuple[int | None, int | None]) -> str:
    return "any size" if size == (None, None) else f"{size[0] or 'any'} x {size[1] or 'any'} pixels"


def log_engine(engine: EngineInfo, level: int = logging.INFO) -> None:
    """Log how a model runs, each time it was loaded."""
    named = f"engine: {engine.name} {engine.version}, device: {engine.device}"
    if engine.device == "GPU":
        _LOGGER.log(level, "%s, precision: %s", named, engine.precision)
        return
    mkldnn = f", MKL-DNN: {'on' if engine.mkldnn else 'off'}" if engine.name == "paddle" else ""
    _LOGGER.log(
        level, "%s%s, precision: %s, threads: %d", named, mkldnn, engine.precision, engine.num_threads
    )
