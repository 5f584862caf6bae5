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
from .factory import make_operations
from .input_shape import SERVERS_REMEDY, InputShape
from .layout import CHANNELS
from .normalize import NormalizeToCHW
from .operation_settings import operations_of
from .operations import Size, output_size
from .resize import Array
from .transforms import Compose, create_transforms, reduced_size

_AXES: Final = 4  # of a batch of images
_COPIES: Final = 2  # of an image: its own, and that in the batch
_MOST_VALUES: Final = 2**24
"""Of one image that isn't cropped: 64 MB, or 2048 x 2731 pixels of RGB."""

Batch = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The images of one request, ready for the model.

    Attributes:
        tensors: Batches [n, C, H, W] or [n, H, W, C], as the model takes them, float32, C-contiguous, one for
            each shape: the images that didn't fail. Nearly always there is one; none if all failed.
        failures: For each image of the request the reason why it failed, or None.
        rows: For each image that didn't fail its place in the tensors, one after the other; None: in order.
    """

    tensors: Sequence[Batch]
    failures: Sequence[str | None]
    rows: Sequence[int] | None = None

    def in_order(self, scores: Sequence[Batch]) -> Batch | None:
        """Return the scores of all images in the order of the images; None if all failed.

        Args:
            scores: [n, outputs] for each of the tensors.
        """
        if not scores:
            return None
        joined = scores[0] if len(scores) == 1 else np.concatenate(scores)
        return joined if self.rows is None else joined[np.asarray(self.rows)]


class ModelInput:
    """Turns images into the model's input; safe to call from several threads.

    Args:
        settings: Read for what is done to images: PREPROCESS_NAMES, transform_ops, max_image_pixels,
            reduced_decode.
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
        self._shape = InputShape(input_shape)
        operations = operations_of(settings)
        made = make_operations(operations)
        self._is_uint8 = input_dtype == "uint8"
        if self._is_uint8:
            check_unchanged(made.normalize)
        self._pixel_channels = 1 if made.is_gray else CHANNELS
        self._after = made.after_names
        self._size = output_size(operations)
        reduce_to = reduced_size(settings.resize_short, settings) if settings.reduced_decode else None
        self._decode = DecodeImage(settings.max_image_pixels, reduce_to)
        self._normalize_to_chw = NormalizeToCHW(made.normalize)
        self._num_channels = made.normalize.num_channels
        transforms = create_transforms(
            settings.resize_short,
            settings.crop_size,
            to_chw=not self._shape.is_channels_last,
            settings=settings,
        )
        if None in self._size:  # before normalization, which takes four times as much memory
            at = len(made.before)
            transforms = Compose([*transforms.operations[:at], _check_values, *transforms.operations[at:]])
        self._transforms = transforms
        self.warning = self._shape.refusal_of_images(
            self._size, self._num_channels, _size_setting(settings, self._size)
        )
        self._size_remedy = _size_remedy(settings) if not self.warning else self._shape.clients_remedy

    def check(self, shape: tuple[int, ...], field: str, operations: Sequence[str] = ()) -> None:
        """Refuse a batch by its shape, before anything is computed.

        Args:
            shape: The shape of the batch.
            field: The user's name for that shape, for messages.
            operations: Those of protocol.OPERATIONS that are left to do.

        Raises:
            RequestError: It isn't the model's shape; or the model's operations can't be left to do in part.
        """
        if "normalize" in operations:
            if self._after:
                raise RequestError(
                    f"preprocess has normalize, but this model has {self._after[0]} after it: "
                    "send whole image files, or tensors that are finished"
                )
            if len(shape) != _AXES or shape[-1] != self._pixel_channels:
                channels = self._pixel_channels
                raise RequestError(
                    f"{field} is {list(shape)}; preprocess takes a batch [N, H, W, {channels}]"
                )
            shape = (*shape[:3], self._num_channels)
        if "to_chw" in operations and len(shape) == _AXES:
            shape = (shape[0], shape[3], shape[1], shape[2])
            field += " after to_chw"
        self._shape.check_batch(shape, field, self._size_remedy)

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
        return Prepared([tensor], [None] * len(tensor))

    def of_images(
        self,
        entries: Sequence[object],
        is_wanted: Callable[[], bool] = lambda: True,
        take_room: Callable[[int], None] = lambda _: None,
    ) -> Prepared:
        """Decode and preprocess whole image files; one that can't be decoded fails alone.

        Args:
            entries: JPEG, PNG, BMP or WebP files: their bytes, or base64 texts of them; or decoded images
                [H, W, 3] uint8, RGB; or functions that return either of these when called, or raise
                ImageError.
            is_wanted: Called before each image; tells whether anybody still waits for the result.
            take_room: Called with the bytes that each image takes, where that depends on the image; raises if
                there is no room for it.

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
                if None in self._size:
                    take_room(_COPIES * tensors[-1].nbytes)
            except ImageError as exc:
                failures.append(str(exc))
        places: dict[tuple[int, ...], list[int]] = {}
        for place, tensor in enumerate(tensors):
            places.setdefault(tensor.shape, []).append(place)
        for shape, found in places.items():
            self._shape.check_images((len(found), *shape), self._num_channels)
        if len(places) <= 1:
            return Prepared([np.stack(tensors)] if tensors else [], failures)
        order = [place for found in places.values() for place in found]
        batches = [np.stack([tensors[place] for place in found]) for found in places.values()]
        return Prepared(batches, failures, np.argsort(order).tolist())

    def _prepare(self, entry: object) -> Batch:
        if callable(entry):
            entry = entry()
        if not isinstance(entry, np.ndarray):
            entry = self._decode(entry if isinstance(entry, bytes) else decode_entry(entry))
        image: Batch = self._transforms(entry)  # type: ignore[assignment]
        if None in self._size and self._after:
            _check_values(image if self._shape.is_channels_last else image.transpose(1, 2, 0))
        return image

    def _finish(self, batch: npt.NDArray[Any], operations: Sequence[str]) -> Batch:
        """Do the operations that are left; returns [N, C, H, W] float32, C-contiguous."""
        if "to_chw" not in operations:
            finished = self._normalize_to_chw.normalize(batch) if operations else batch
            return np.ascontiguousarray(finished, np.float32)
        count, height, width, channels = batch.shape
        if "normalize" not in operations:
            tensor = np.empty((count, channels, height, width), np.float32)
            tensor[...] = batch.transpose(0, 3, 1, 2)
            return tensor
        tensor = np.empty((count, self._num_channels, height, width), np.float32)
        for image, place in zip(batch, tensor, strict=True):
            self._normalize_to_chw(image, place)
        return tensor


def _check_values(image: Array) -> Array:
    """Refuse an image [H, W, C] that has too many pixels after resizing; returns it."""
    if image.size > _MOST_VALUES:
        height, width = image.shape[:2]
        raise ImageError(f"the image has {width} x {height} pixels after resizing: too many without a crop")
    return image


def _size_setting(settings: Settings, size: Size) -> str:
    """Return what gives images their size, for messages."""
    width, height = size
    if settings.transform_ops:
        return f"transform_ops makes images of {width or 'any'} x {height or 'any'}"
    return f"resize_size is {[width, height]}" if settings.resize_size else f"crop_size is {width}"


def _size_remedy(settings: Settings) -> str:
    """Say how a client sends what the settings make of images."""
    sizes = ("resize_short", "crop_size")
    others = [name for name in PREPROCESS_NAMES if name not in sizes]
    if settings.transform_ops or any(getattr(settings, name) != getattr(Settings, name) for name in others):
        return SERVERS_REMEDY
    return f"use --resize_short {settings.resize_short} --crop_size {settings.crop_size}"
