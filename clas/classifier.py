"""A model with its input and its output; knows no HTTP and no PaddleHub.

From Python: `Classifier.open("/path/to/model").classify_files(["a.jpg", "b.png"])`; docs/en/offline.md.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .engine.base import Engine, EngineClass
from .engine.choice import choose
from .image.given import sources_of
from .image.model_input import Prepared
from .model.exported import read_exported_model
from .model.files import MODULE_DIR, ModelFiles
from .output.base import Prediction
from .pipeline import Description, Pipeline, log_engine
from .settings import Settings, load_settings

_Pieces = TypeVar("_Pieces", Sequence[object], npt.NDArray[np.generic])


class Classifier:
    """A loaded model that classifies images; safe to call from several threads.

    Args:
        settings: What to load, and how to run it.
        module_dir: The folder whose own model and label file are used where the settings' aren't found.

    Raises:
        StartupError: The model, its inference.yml, the label file or the device can't be used; see its
            subclasses.
    """

    def __init__(
        self,
        settings: Settings,
        module_dir: Path = MODULE_DIR,
    ) -> None:
        model = read_exported_model(settings, module_dir)

        def open_engine(engine_class: EngineClass, files: ModelFiles) -> Engine:
            return engine_class(files, model.settings)

        choice = choose(model.settings, model.programs, open_engine)
        self._engine = choice.opened
        model.fingerprint.check_untouched()
        log_engine(self._engine.info)
        self._pipeline = Pipeline(model, self._engine.info, choice.passed_over)

    @classmethod
    def open(cls, directory: "str | os.PathLike[str] | None" = None, /, **settings: object) -> "Classifier":
        """Load the model in a folder.

        Args:
            directory: Folder of an exported model; None for that of params.py.
            **settings: Any other key of params.py, which they override: `use_gpu=True`, `topk=3`.

        Raises:
            StartupError: As the class itself; also for a setting that is unknown or invalid.
        """
        if directory is not None:
            settings["inference_model_dir"] = os.fspath(directory)
        return cls(load_settings(settings))

    def ensure_open(self) -> None:
        """Reload the model if this process was forked since, so that no request is charged for it.

        Raises:
            DeviceError: The process was forked, and the settings ask for the GPU.
            ModelLoadError: The model's files have changed.
        """
        self._engine.ensure_open()

    @property
    def max_batch_size(self) -> int:
        """The number of images that go through the model at once."""
        return self._engine.info.batch_limit

    @property
    def fingerprint(self) -> str:
        """What tells this model from others: a digest of its files, in hexadecimal digits."""
        return self._pipeline.model.fingerprint.digest.hex()

    @property
    def max_image_pixels(self) -> int:
        """The most pixels, width x height, of an image that is decoded."""
        return self._pipeline.model.settings.max_image_pixels

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
            batch: [N, C, H, W] of any real number type; computed in float32.
            top_k: Results per image; None for the setting.
            field: The user's name for the shape of `batch`, for messages.
            operations: Those of protocol.OPERATIONS that are left to do; with them, `batch` is [N, H, W, C].

        Returns:
            N results, in the order of the batch.

        Raises:
            RequestError: The shape isn't the model's, a value isn't finite, or `top_k` is invalid.
            PredictionError: The model failed.
        """
        k = self._pipeline.output.check(top_k)
        self._pipeline.input.check(batch.shape, field, operations)  # all of it, not just the first piece
        return self._classify(
            batch,
            k,
            lambda piece: self._pipeline.input.of_batch(piece, operations),
        )

    def classify_images(self, entries: Sequence[object], top_k: object = None) -> list[Prediction]:
        """Decode, preprocess and classify whole image files; one that can't be decoded fails alone.

        Args:
            entries: As `ModelInput.of_images`.
            top_k: Results per image; None for the setting.

        Returns:
            One result per entry, in order; a failed one has empty lists and an `error`.

        Raises:
            RequestError: `top_k` is invalid, or the configured crop_size isn't the model's.
            PredictionError: The model failed.
        """
        k = self._pipeline.output.check(top_k)
        return self._classify(entries, k, self._pipeline.input.of_images)

    def classify_files(
        self, images: object, top_k: object = None, *, channels: str = "RGB"
    ) -> list[Prediction]:
        """Classify one image or many: files, and images in memory; one that can't be read fails alone.

        Args:
            images: The name of a JPEG, PNG, BMP or WebP file, the bytes of one, an array [H, W, 3] or [H, W]
                of uint8, or an image of Pillow; or an iterable of these, which may be an array [N, H, W, 3].
            top_k: Results per image; None for the setting.
            channels: The order of the channels of arrays: "RGB", or "BGR" as cv2.imread returns them.

        Returns:
            One result per image, in order: a list of one for one image. A failed one has empty lists and an
            `error`.

        Raises:
            RequestError: An argument is invalid, or the configured crop_size isn't the model's.
            PredictionError: The model failed.
        """
        return self.classify_images([source.load for source in sources_of(images, channels)], top_k)

    def describe(self) -> Description:
        """Describe what is loaded, and how it runs."""
        self._pipeline.engine = self._engine.info  # a fork may have changed it
        return self._pipeline.describe()

    def _classify(self, items: _Pieces, k: int, prepare: Callable[[_Pieces], Prepared]) -> list[Prediction]:
        """Classify in pieces of the batch size, which bounds the memory of one request."""
        results: list[Prediction] = []
        for piece in _in_pieces(items, self.max_batch_size):
            prepared = prepare(piece)
            scores = prepared.in_order([self._engine.run(tensor) for tensor in prepared.tensors])
            results += self._pipeline.output.merge(scores, prepared.failures, k)
        return results


def _in_pieces(items: _Pieces, size: int) -> Iterator[_Pieces]:
    """Cut a list or an array into pieces of `size`; the last one may be shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))
