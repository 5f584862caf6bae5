"""From what a request holds to the model's input, checked."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..engine.paddle import Batch
from ..errors import ImageError, RequestError, UnavailableError
from ..output.topk import Prediction, Topk, failed_prediction
from ..protocol import decode_entry
from ..settings import Settings
from .transforms import DecodeImage, NormalizeToCHW, create_transforms, normalization, reduced_size

_LOGGER: Final = logging.getLogger("clas_system")
_AXES: Final = 4  # of a batch of images
_CHANNELS: Final = 3  # R, G, B: what is normalized
_PREPARED: Final = "the shape of the preprocessed images"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The images of one request, ready for the model.

    Attributes:
        tensor: [n, C, H, W] float32, C-contiguous: those images that could be prepared.
        top_k: Results per image.
        failures: For each image of the request None, or the entry of one that couldn't be prepared.
    """

    tensor: Batch
    top_k: int
    failures: Sequence[Prediction | None]


class Preparation:
    """Makes images what the model takes; safe to call from several threads.

    Args:
        settings: Read for what is done to images: PREPROCESS_NAMES, max_image_pixels, reduced_decode.
        input_shape: What the model takes, [N, C, H, W]; None where it leaves a size free.
        topk: Knows which `top_k` is fit.
    """

    def __init__(self, settings: Settings, input_shape: Sequence[int | None], topk: Topk) -> None:
        self._input_shape = input_shape
        self._topk = topk
        size = reduced_size(settings.resize_short, settings)
        reduce_to = size if settings.reduced_decode else None
        self._decode = DecodeImage(settings.max_image_pixels, reduce_to)
        self._normalize_to_chw = NormalizeToCHW(normalization(settings))
        self._transforms = create_transforms(settings.resize_short, settings.crop_size, settings=settings)
        width, height = settings.output_size
        if not _fits((height, width), input_shape[2:]):
            named = f"resize_size is {[width, height]}" if settings.resize_size else f"crop_size is {width}"
            taken = self._taken()
            _LOGGER.warning("%s, but the model takes %s: encoded images will be refused", named, taken)

    def check(self, shape: tuple[int, ...], top_k: object, field: str, operations: Sequence[str] = ()) -> int:
        """Refuse a batch for what is known of it before it is looked at.

        Args:
            shape: That of the batch.
            top_k: Results per image; None for the setting.
            field: What the caller's users call the shape, for messages.
            operations: What is left to do to each image, of protocol.OPERATIONS.

        Returns:
            Results per image.

        Raises:
            RequestError: The shape isn't the model's, or `top_k` is unfit.
        """
        k = self._topk.check(top_k)
        if "normalize" in operations and (len(shape) != _AXES or shape[-1] != _CHANNELS):
            raise RequestError(f"{field} is {list(shape)}; preprocess takes a batch [N, H, W, 3]")
        if "to_chw" in operations and len(shape) == _AXES:
            shape = (shape[0], shape[3], shape[1], shape[2])
            field += " after to_chw"
        self._check_shape(shape, field)
        return k

    def of_batch(
        self,
        batch: npt.NDArray[np.generic],
        top_k: object = None,
        *,
        field: str = "inputs",
        operations: Sequence[str] = (),
    ) -> Prepared:
        """Check a batch of preprocessed images, and make it what the model takes.

        Args:
            batch: [N, C, H, W] of any plain number type; computed in float32.
            top_k: Results per image; None for the setting.
            field: What the caller's users call the shape of `batch`, for messages.
            operations: What is left to do to each image, of protocol.OPERATIONS; with them, `batch` is
                [N, H, W, C].

        Raises:
            RequestError: The shape isn't the model's, a value isn't finite, or `top_k` is unfit.
        """
        k = self.check(batch.shape, top_k, field, operations)
        is_whole = batch.dtype.kind in "iu"  # whole numbers are finite, in float32 too
        with contextlib.nullcontext() if is_whole else np.errstate(over="ignore"):  # float64, refused below
            tensor = self._finish(batch, operations)
        if not (is_whole or np.isfinite(tensor).all()):
            raise RequestError("images holds NaN or infinity; every value must be a finite float32")
        return Prepared(tensor, k, [None] * len(tensor))

    def of_images(
        self,
        entries: Sequence[object],
        top_k: object = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Prepared:
        """Decode and preprocess whole image files; one that can't be decoded fails alone.

        Args:
            entries: JPEG, PNG, BMP or WebP files: their bytes, or base64 texts of them; or images that are
                decoded already, [H, W, 3] uint8, RGB; or functions that give either of these when their
                turn comes, or raise ImageError.
            top_k: Results per image; None for the setting.
            is_wanted: Asked before each image; tells whether anybody still waits for the result.

        Raises:
            RequestError: `top_k` is unfit, or the configured crop_size isn't what the model takes.
            UnavailableError: Nobody waits for it any more.
        """
        k = self._topk.check(top_k)
        prepared: list[Batch | Prediction] = []
        for entry in entries:
            if not is_wanted():
                raise UnavailableError("nobody waits for this request any more")
            prepared.append(self._try_prepare(entry))
        tensors = [item for item in prepared if isinstance(item, np.ndarray)]
        if tensors:
            self._check_shape((len(tensors), *tensors[0].shape), _PREPARED)
            tensor = np.stack(tensors)
        else:
            tensor = np.empty((0, *(size or 0 for size in self._input_shape[1:])), np.float32)
        return Prepared(tensor, k, [None if isinstance(item, np.ndarray) else item for item in prepared])

    def _finish(self, batch: npt.NDArray[Any], operations: Sequence[str]) -> Batch:
        """Do to a batch what is left to do; [N, C, H, W], float32, C-contiguous."""
        if "to_chw" not in operations:
            finished = self._normalize_to_chw.normalize(batch) if operations else batch
            return np.ascontiguousarray(finished, np.float32)
        count, height, width, channels = batch.shape
        tensor = np.empty((count, channels, height, width), np.float32)
        if "normalize" not in operations:
            tensor[...] = batch.transpose(0, 3, 1, 2)
            return tensor
        for image, place in zip(batch, tensor, strict=True):
            self._normalize_to_chw(image, place)
        return tensor

    def _try_prepare(self, entry: object) -> Batch | Prediction:
        try:
            if callable(entry):
                entry = entry()
            if not isinstance(entry, np.ndarray):
                entry = self._decode(entry if isinstance(entry, bytes) else decode_entry(entry))
            image: Batch = self._transforms(entry)  # type: ignore[assignment]
        except ImageError as exc:
            return failed_prediction(str(exc))
        return image

    def _check_shape(self, shape: tuple[int, ...], field: str) -> None:
        wanted = (None, *self._input_shape[1:])  # any number of images
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
        return f"[{', '.join(['N', *(str(size or 'any') for size in self._input_shape[1:])])}]"


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Whether the sizes agree wherever `wanted` names one."""
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape, wanted, strict=True)
    )
