"""Validates the images of a request and turns them into the model's input."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import ImageError, RequestError, UnavailableError
from ..protocol import decode_entry
from ..settings import PREPROCESS_NAMES, Settings
from .decode import DecodeImage
from .eight_bit import BRIGHTEST, are_levels, check_unchanged
from .layout import CHANNELS, image_shape, is_channels_last
from .transforms import NormalizeToCHW, create_transforms, normalization, reduced_size

_AXES: Final = 4  # of a batch of images
_PREPARED: Final = "the shape of the preprocessed images"

Batch = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The images of one request, ready for the model.

    Attributes:
        tensor: [n, C, H, W] or [n, H, W, C], as the model takes it, float32, C-contiguous: the images that
            didn't fail.
        failures: For each image of the request the reason why it failed, or None.
    """

    tensor: Batch
    failures: Sequence[str | None]


class ModelInput:
    """Turns images into the model's input; safe to call from several threads.

    Args:
        settings: Read for what is done to images: PREPROCESS_NAMES, max_image_pixels, reduced_decode.
        input_shape: The model's, [N, C, H, W] or [N, H, W, C]; None where it accepts any size.
        input_dtype: numpy's name of the type that the model takes.

    Attributes:
        warning: Why encoded images will be refused; empty if they won't.

    Raises:
        SettingsError: The model takes uint8, and the settings would make other numbers of the pixels.
    """

    def __init__(
        self, settings: Settings, input_shape: Sequence[int | None], input_dtype: str = "float32"
    ) -> None:
        self._input_shape = input_shape
        self._is_uint8 = input_dtype == "uint8"
        if self._is_uint8:
            check_unchanged(settings)
        size = reduced_size(settings.resize_short, settings)
        reduce_to = size if settings.reduced_decode else None
        self._decode = DecodeImage(settings.max_image_pixels, reduce_to)
        self._normalize_to_chw = NormalizeToCHW(normalization(settings))
        self._transforms = create_transforms(
            settings.resize_short,
            settings.crop_size,
            to_chw=not is_channels_last(input_shape),
            settings=settings,
        )
        self.warning = self._refusal_of_images(settings)
        self._size_remedy = "use --resize_short/--crop_size" if self.warning else _client_flags(settings)

    def check(self, shape: tuple[int, ...], field: str, operations: Sequence[str] = ()) -> None:
        """Refuse a batch by its shape, before anything is computed.

        Args:
            shape: The shape of the batch.
            field: The user's name for that shape, for messages.
            operations: Those of protocol.OPERATIONS that are left to do.

        Raises:
            RequestError: It isn't the model's shape.
        """
        if "normalize" in operations and (len(shape) != _AXES or shape[-1] != CHANNELS):
            raise RequestError(f"{field} is {list(shape)}; preprocess takes a batch [N, H, W, 3]")
        if "to_chw" in operations and len(shape) == _AXES:
            shape = (shape[0], shape[3], shape[1], shape[2])
            field += " after to_chw"
        self._check_shape(shape, field)

    def of_batch(self, batch: npt.NDArray[np.generic], operations: Sequence[str] = ()) -> Prepared:
        """Make a batch of preprocessed images the model's input.

        Args:
            batch: Of a shape that `check` has let pass and of any real number type; computed in float32.
            operations: Those of protocol.OPERATIONS that are left to do; with them, `batch` is [N, H, W, C].

        Raises:
            RequestError: A value isn't finite, or the model takes uint8, and one isn't a whole number from 0
                to 255.
        """
        is_integer = batch.dtype.kind in "iu"  # finite, in float32 too
        with contextlib.nullcontext() if is_integer else np.errstate(over="ignore"):  # float64, refused below
            tensor = self._finish(batch, operations)
        if not (is_integer or np.isfinite(tensor).all()):
            raise RequestError("images holds NaN or infinity; every value must be a finite float32")
        if self._is_uint8 and not are_levels(tensor):
            raise RequestError(
                f"images holds values that aren't whole numbers from 0 to {BRIGHTEST}; "
                "the model takes pixels (uint8): send them without normalization"
            )
        return Prepared(tensor, [None] * len(tensor))

    def of_images(self, entries: Sequence[object], is_wanted: Callable[[], bool] = lambda: True) -> Prepared:
        """Decode and preprocess whole image files; one that can't be decoded fails alone.

        Args:
            entries: JPEG, PNG, BMP or WebP files: their bytes, or base64 texts of them; or decoded images
                [H, W, 3] uint8, RGB; or functions that return either of these when called, or raise
                ImageError.
            is_wanted: Called before each image; tells whether anybody still waits for the result.

        Raises:
            RequestError: The configured crop_size isn't the model's.
            UnavailableError: Nobody waits any more.
        """
        tensors: list[Batch] = []
        failures: list[str | None] = []
        for entry in entries:
            if not is_wanted():
                raise UnavailableError("nobody waits for this request any more")
            try:
                tensors.append(self._prepare(entry))
                failures.append(None)
            except ImageError as exc:
                failures.append(str(exc))
        if tensors:
            self._check_shape((len(tensors), *tensors[0].shape), _PREPARED)
            tensor = np.stack(tensors)
        else:
            tensor = np.empty((0, *(size or 0 for size in self._input_shape[1:])), np.float32)
        return Prepared(tensor, failures)

    def _prepare(self, entry: object) -> Batch:
        if callable(entry):
            entry = entry()
        if not isinstance(entry, np.ndarray):
            entry = self._decode(entry if isinstance(entry, bytes) else decode_entry(entry))
        image: Batch = self._transforms(entry)  # type: ignore[assignment]
        return image

    def _finish(self, batch: npt.NDArray[Any], operations: Sequence[str]) -> Batch:
        """Do the operations that are left; returns [N, C, H, W] float32, C-contiguous."""
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

    def _refusal_of_images(self, settings: Settings) -> str:
        """Say so if the settings make images of a shape that the model doesn't take."""
        width, height = settings.output_size
        shape = image_shape(width, height, self._input_shape)
        if _fits(shape, self._input_shape[1:]):
            return ""
        named = f"resize_size is {[width, height]}" if settings.resize_size else f"crop_size is {width}"
        if self._has_other_channels((1, *shape)):
            named = f"images have {CHANNELS} channels"
        return f"{named}, but the model takes {self._shown_shape()}: encoded images will be refused"

    def _check_shape(self, shape: tuple[int, ...], field: str) -> None:
        wanted = (None, *self._input_shape[1:])  # any number of images
        if _fits(shape, wanted) and shape[0] > 0:
            return
        is_last = is_channels_last(self._input_shape)
        if field == _PREPARED and self._has_other_channels(shape):
            remedy = "send tensors of that many channels"
        elif field == _PREPARED:
            remedy = "set crop_size and resize_short in params.py"
        elif not shape or shape[0] == 0:
            remedy = "send at least one image"
        elif len(shape) == len(wanted) and not self._has_other_channels(shape):
            remedy = self._size_remedy
        elif is_last:
            remedy = "send a batch in the order N, H, W, C (--to_chw False)"
        else:
            remedy = "send a batch in the order N, C, H, W (--to_chw True)"
        raise RequestError(f"{field} is {list(shape)}; the model takes {self._shown_shape()}: {remedy}")

    def _has_other_channels(self, shape: Sequence[int]) -> bool:
        axis = 3 if is_channels_last(self._input_shape) else 1
        return not _fits([shape[axis]], [self._input_shape[axis]])

    def _shown_shape(self) -> str:
        return f"[{', '.join(['N', *(str(size or 'any') for size in self._input_shape[1:])])}]"


def _client_flags(settings: Settings) -> str:
    """Say how a client sends what the settings make of images."""
    sizes = ("resize_short", "crop_size")
    others = [name for name in PREPROCESS_NAMES if name not in sizes]
    if any(getattr(settings, name) != getattr(Settings, name) for name in others):
        return "send the files as they are (--wire encoded), since its flags can't say this preprocessing"
    return f"use --resize_short {settings.resize_short} --crop_size {settings.crop_size}"


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Whether the sizes agree wherever `wanted` names one."""
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape, wanted, strict=True)
    )
