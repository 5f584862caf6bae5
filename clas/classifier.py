"""Settings + predictor + postprocessing; knows no HTTP and no PaddleHub."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from .engine.paddle import AnyPredictor, Batch, Predictor, Scores
from .image.model_input import Preparation, Prepared
from .model.files import MODULE_DIR, ModelFiles, find_label_file, find_model
from .model.inference_yml import ModelConfig, read_inference_yml
from .model.labels import load_labels
from .output.threshold import make_output
from .output.topk import Prediction
from .settings import PREPROCESS_NAMES, Settings

_LOGGER: Final = logging.getLogger("clas_system")

_Pieces = TypeVar("_Pieces", Sequence[object], npt.NDArray[np.generic])


class Description(TypedDict):
    """What is loaded, and how it runs, without any path of the machine."""

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


class Classifier:
    """A loaded, warmed-up model that turns images into classes; safe to call from several threads.

    Args:
        settings: What to load, and how to run it.
        module_dir: The folder whose own model and label file stand in where the settings' are not found.
        open_predictor: Loads the model; by default `Predictor`.

    Attributes:
        preparation: Makes images what this model takes.

    Raises:
        StartupError: The model, its inference.yml, the label file or the device can't be used; see its
            subclasses.
    """

    def __init__(
        self,
        settings: Settings,
        module_dir: Path = MODULE_DIR,
        open_predictor: Callable[[ModelFiles, Settings], AnyPredictor] | None = None,
    ) -> None:
        _LOGGER.info("code: %s", module_dir)
        self._files = find_model(settings, module_dir)
        self._config = read_inference_yml(self._files.program.parent)
        kept: tuple[str, ...] = ()
        if self._config:
            settings, kept = self._config.apply(settings)
        labels, label_file = _find_labels(settings, self._config, module_dir)
        self._settings = settings
        self._predictor = (open_predictor or Predictor)(self._files, settings)
        self._topk = make_output(settings, self._predictor.num_classes, labels)
        self._log_start(label_file)
        if self._config:
            self._log_config(self._config, kept)
        self.preparation = Preparation(settings, self._predictor.input_shape, self._topk)

    def ensure_open(self) -> None:
        """Load the model again if this process was forked since, so that no request's time is counted for it.

        Raises:
            DeviceError: The process was forked, and the settings ask for the GPU.
            ModelLoadError: The model's files are no longer what they were at the start.
        """
        self._predictor.ensure_open()

    @property
    def max_batch_size(self) -> int:
        """How many images go through the model at once."""
        return self._predictor.batch_size or self._settings.batch_limit

    def classify(
        self,
        batch: npt.NDArray[np.generic],
        top_k: object = None,
        *,
        field: str = "inputs",
        operations: Sequence[str] = (),
    ) -> list[Prediction]:
        """Classify a batch of preprocessed images.

        Args:
            batch: [N, C, H, W] of any plain number type; computed in float32.
            top_k: Results per image; None for the setting.
            field: What the caller's users call the shape of `batch`, for messages.
            operations: What is left to do to each image, of protocol.OPERATIONS; with them, `batch` is
                [N, H, W, C].

        Returns:
            N results, in the order of the batch.

        Raises:
            RequestError: The shape isn't the model's, a value isn't finite, or `top_k` is unfit.
            PredictionError: The model failed.
        """
        prepare = self.preparation
        prepare.check(batch.shape, top_k, field, operations)
        return self._classify_in_pieces(
            batch, lambda piece: prepare.of_batch(piece, top_k, field=field, operations=operations)
        )

    def classify_images(self, entries: Sequence[object], top_k: object = None) -> list[Prediction]:
        """Decode, preprocess and classify whole image files; one that can't be decoded fails alone.

        Args:
            entries: JPEG, PNG, BMP or WebP files: their bytes, or base64 texts of them; or images that are
                decoded already, [H, W, 3] uint8, RGB; or functions that give either of these when their
                turn comes, or raise ImageError.
            top_k: Results per image; None for the setting.

        Returns:
            One result per entry, in order; a failed one has empty lists and an `error`.

        Raises:
            RequestError: `top_k` is unfit, or the configured crop_size isn't what the model takes.
            PredictionError: The model failed.
        """
        self._topk.check(top_k)
        return self._classify_in_pieces(entries, lambda piece: self.preparation.of_images(piece, top_k))

    def score(self, *parts: Batch) -> Scores:
        """Run the model.

        Args:
            parts: One batch, in one part or several: [n, C, H, W] float32, C-contiguous; up to
                `max_batch_size` images in all.

        Returns:
            [images, num_classes] float32.

        Raises:
            PredictionError: The model failed.
        """
        count = sum(len(part) for part in parts)
        missing = (self._predictor.batch_size or 0) - count
        if missing > 0:  # the model takes one size only
            parts = (*parts, np.zeros((missing, *parts[0].shape[1:]), np.float32))
        return self._predictor.run(*parts)[:count]

    def results(self, prepared: Prepared, scores: Scores | None) -> list[Prediction]:
        """Name the best classes of each image.

        Args:
            prepared: A request's images.
            scores: [n, num_classes], a row for each image in `prepared.tensor`; None if there is none.

        Returns:
            One result per image of the request, in its order.
        """
        answered = iter([] if scores is None else self._topk(scores, prepared.top_k))
        return [failure or next(answered) for failure in prepared.failures]

    def describe(self) -> Description:
        """What is loaded, and how it runs."""
        predictor = self._predictor
        return {
            "name": self._files.program.parent.name,
            "format": self._files.program.suffix[1:],
            "input_shape": list(predictor.input_shape),
            "classes": self._topk.num_classes,
            "labels": len(self._topk.labels),
            "main_indicator": self._settings.main_indicator,
            "threshold": None if self._settings.main_indicator == "Topk" else self._settings.threshold,
            "top_k": self._topk.k,
            "preprocess": self._preprocess(),
            "inference_yml": self._config is not None,
            "device": "GPU" if self._settings.use_gpu else "CPU",
            "mkldnn": predictor.mkldnn,
            "precision": self._precision,
            "threads": predictor.num_threads,
            "max_batch_size": self.max_batch_size,
        }

    def _classify_in_pieces(self, items: _Pieces, prepare: Callable[[_Pieces], Prepared]) -> list[Prediction]:
        """Bounds the memory that one request takes."""
        results: list[Prediction] = []
        for piece in _in_pieces(items, self.max_batch_size):
            prepared = prepare(piece)
            scores = self.score(prepared.tensor) if len(prepared.tensor) else None
            results += self.results(prepared, scores)
        return results

    @property
    def _precision(self) -> str:
        """What is computed in; MKL-DNN may have turned out not to fit the model."""
        return self._settings.precision if self._predictor.mkldnn else "fp32"

    def _log_start(self, label_file: Path | None) -> None:
        predictor, files = self._predictor, self._files
        _LOGGER.info("model: %s, format: %s", files.program.parent, files.program.suffix[1:])
        if self._settings.use_gpu:
            if self._settings.enable_mkldnn:
                _LOGGER.warning("enable_mkldnn is for the CPU: ignored, the GPU is used")
            _LOGGER.info("device: GPU, MKL-DNN: off")
        else:
            mkldnn = "on" if predictor.mkldnn else "off"
            _LOGGER.info(
                "device: CPU, MKL-DNN: %s, precision: %s, threads: %d",
                *(mkldnn, self._precision, predictor.num_threads),
            )
        self._log_output(label_file)

    def _log_output(self, label_file: Path | None) -> None:
        settings, labels, num_classes = self._settings, self._topk.labels, self._topk.num_classes
        if settings.main_indicator == "Topk" and settings.topk > num_classes:
            _LOGGER.warning(
                "topk is %d, but the model has %d classes: lowered to that", settings.topk, num_classes
            )
        if settings.main_indicator != "Topk":
            _LOGGER.info("main_indicator: %s, threshold: %g", settings.main_indicator, settings.threshold)
        _LOGGER.info("top_k: %d, labels: %d (%s)", self._topk.k, len(labels), label_file or "no file")
        if labels and labels.keys() != set(range(num_classes)):
            _LOGGER.warning(
                "%d labels with ids %d to %d, but the model has %d classes, 0 to %d",
                *(len(labels), min(labels), max(labels), num_classes, num_classes - 1),
            )

    def _log_config(self, config: ModelConfig, kept: Sequence[str]) -> None:
        used = ", ".join(name for name in config.values if name not in kept)
        _LOGGER.info("inference.yml: %s, in place of params.py: %s", config.path, used or "nothing")
        if kept:
            _LOGGER.info("init_args or a flag, in place of inference.yml: %s", ", ".join(kept))
        shown = ", ".join(f"{name}: {value}" for name, value in self._preprocess().items())
        _LOGGER.info("preprocess: %s", shown)

    def _preprocess(self) -> dict[str, object]:
        """The settings of how an image becomes the model's input, as JSON has them."""
        values = {name: getattr(self._settings, name) for name in PREPROCESS_NAMES}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _find_labels(
    settings: Settings, config: ModelConfig | None, module_dir: Path
) -> tuple[Mapping[int, str], Path | None]:
    """The labels and their file: the one given for this start, else the model's, else that of params.py."""
    if settings.main_indicator == "ThreshOutput":
        return {0: settings.label_0, 1: settings.label_1}, None
    is_given = "class_id_map_file" in settings.overridden
    if config and config.labels and not is_given:
        return config.labels, config.path
    names_file = config is not None and "class_id_map_file" in config.values and not is_given
    label_file = find_label_file(settings, module_dir, config.path.parent if config and names_file else None)
    return load_labels(label_file) if label_file else {}, label_file


def _in_pieces(items: _Pieces, size: int) -> Iterator[_Pieces]:
    """Cut a list or an array into pieces of `size`; the last one holds what is left."""
    return (items[start : start + size] for start in range(0, len(items), size))
