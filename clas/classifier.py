"""Settings + predictor + postprocessing; knows no HTTP and no PaddleHub."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from .errors import ImageError, RequestError
from .model_files import MODULE_DIR, ModelFiles, find_label_file, find_model
from .postprocess import Prediction, Topk, failed_prediction, load_labels
from .predictor import Batch, Predictor
from .preprocess import DecodeImage, create_transforms
from .protocol import decode_entry
from .settings import Settings

_LOGGER: Final = logging.getLogger("clas_system")
_PREPARED: Final = "the shape of the preprocessed images"

_Pieces = TypeVar("_Pieces", Sequence[object], npt.NDArray[np.generic])


class Classifier:
    """A loaded, warmed-up model that turns images into classes; safe to call from several threads.

    Args:
        settings: What to load, and how to run it.
        module_dir: The folder whose own model and label file stand in where the settings' are not found.

    Raises:
        StartupError: The model, the label file or the device can't be used; see its subclasses.
    """

    def __init__(self, settings: Settings, module_dir: Path = MODULE_DIR) -> None:
        _LOGGER.info("code: %s", module_dir)
        label_file = find_label_file(settings, module_dir)
        labels = load_labels(label_file) if label_file else {}
        files = find_model(settings, module_dir)
        self._settings = settings
        self._predictor = Predictor(files, settings)
        self._topk = Topk(self._fitting_topk(), self._predictor.num_classes, labels)
        self._decode = DecodeImage(settings.max_image_pixels)
        self._transforms = create_transforms(settings.resize_short, settings.crop_size)
        self._log_start(files, label_file)

    def ensure_open(self) -> None:
        """Load the model again if this process was forked since, so that no request's time is counted for it.

        Raises:
            DeviceError: The process was forked, and the settings ask for the GPU.
            ModelLoadError: The model's files are no longer what they were at the start.
        """
        self._predictor.ensure_open()

    def classify(
        self, batch: npt.NDArray[np.generic], top_k: object = None, *, field: str = "inputs"
    ) -> list[Prediction]:
        """Classify a batch of preprocessed images.

        Args:
            batch: [N, C, H, W] of any plain number type; computed in float32.
            top_k: Results per image; None for the setting.
            field: What the caller's users call the shape of `batch`, for messages.

        Returns:
            N results, in the order of the batch.

        Raises:
            RequestError: The shape isn't the model's, a value isn't finite, or `top_k` is unfit.
            PredictionError: The model failed.
        """
        k = self._topk.check(top_k)
        self._check_shape(batch.shape, field)
        results: list[Prediction] = []
        for piece in _in_pieces(batch, self._predictor.batch_size or self._settings.max_batch_size):
            with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, refused below
                tensor = np.ascontiguousarray(piece, np.float32)
            if not np.isfinite(tensor).all():
                raise RequestError("images holds NaN or infinity; every value must be a finite float32")
            results += self._topk(self._predictor.run(tensor), k)
        return results

    def classify_images(self, entries: Sequence[object], top_k: object = None) -> list[Prediction]:
        """Decode, preprocess and classify whole image files; one that can't be decoded fails alone.

        Args:
            entries: Base64 texts of JPEG, PNG, BMP or WebP files, as in the encoded-image form.
            top_k: Results per image; None for the setting.

        Returns:
            One result per entry, in order; a failed one has empty lists and an `error`.

        Raises:
            RequestError: `top_k` is unfit, or the configured crop_size isn't what the model takes.
            PredictionError: The model failed.
        """
        self._topk.check(top_k)
        results: list[Prediction] = []
        for piece in _in_pieces(entries, self._settings.max_batch_size):
            prepared = [self._try_prepare(entry) for entry in piece]
            tensors = [item for item in prepared if isinstance(item, np.ndarray)]
            answers = self.classify(np.stack(tensors), top_k, field=_PREPARED) if tensors else []
            answered = iter(answers)
            results += [next(answered) if isinstance(item, np.ndarray) else item for item in prepared]
        return results

    def _try_prepare(self, entry: object) -> Batch | Prediction:
        try:
            image: Batch = self._transforms(self._decode(decode_entry(entry)))  # type: ignore[assignment]
        except ImageError as exc:
            return failed_prediction(str(exc))
        return image

    def _check_shape(self, shape: tuple[int, ...], field: str) -> None:
        wanted = (None, *self._predictor.input_shape[1:])  # any number of images
        if _fits(shape, wanted) and shape[0] > 0:
            return
        if field == _PREPARED:
            remedy = "set crop_size and resize_short in params.py"
        elif not shape or shape[0] == 0:
            remedy = "send at least one image"
        elif _fits(shape[:2], wanted[:2]) and len(shape) == len(wanted):
            remedy = "use --resize_short/--crop_size"
        else:
            remedy = "send a batch in the order N, C, H, W (--to_chw True)"
        raise RequestError(f"{field} is {list(shape)}; the model takes {self._taken()}: {remedy}")

    def _taken(self) -> str:
        """What the model takes, as messages show it."""
        return f"[{', '.join(['N', *(str(size or 'any') for size in self._predictor.input_shape[1:])])}]"

    def _fitting_topk(self) -> int:
        topk, num_classes = self._settings.topk, self._predictor.num_classes
        if topk > num_classes:
            _LOGGER.warning("topk is %d, but the model has %d classes: lowered to that", topk, num_classes)
        return min(topk, num_classes)

    def _log_start(self, files: ModelFiles, label_file: Path | None) -> None:
        predictor, labels = self._predictor, self._topk.labels
        _LOGGER.info("model: %s, format: %s", files.program.parent, files.program.suffix[1:])
        if self._settings.use_gpu:
            if self._settings.enable_mkldnn:
                _LOGGER.warning("enable_mkldnn is for the CPU: ignored, the GPU is used")
            _LOGGER.info("device: GPU, MKL-DNN: off")
        else:
            mkldnn = "on" if predictor.mkldnn else "off"
            _LOGGER.info("device: CPU, MKL-DNN: %s, threads: %d", mkldnn, predictor.num_threads)
        _LOGGER.info("top_k: %d, labels: %d (%s)", self._topk.k, len(labels), label_file or "no file")
        if labels and labels.keys() != set(range(predictor.num_classes)):
            _LOGGER.warning(
                "%d labels with ids %d to %d, but the model has %d classes, 0 to %d",
                *(len(labels), min(labels), max(labels), predictor.num_classes, predictor.num_classes - 1),
            )
        crop = self._settings.crop_size
        if not _fits((crop, crop), predictor.input_shape[2:]):
            _LOGGER.warning(
                "crop_size is %d, but the model takes %s: encoded images will be refused", crop, self._taken()
            )


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Whether the sizes agree wherever `wanted` names one."""
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape, wanted, strict=True)
    )


def _in_pieces(items: _Pieces, size: int) -> Iterator[_Pieces]:
    return (items[start : start + size] for start in range(0, len(items), size))
