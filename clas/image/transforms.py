"""Image transforms, one class per operation, shared by the client and the server.

The defaults are those of PaddleClas' evaluation on ImageNet.
"""

from collections.abc import Sequence
from typing import Any, Final

from ..errors import SettingsError
from ..settings import Settings
from .crop import CenterCrop
from .factory import Operation, make_operations
from .normalize import Normalize, NormalizeToCHW, ToCHW
from .operation_readers import CROP_AT_RATIO, DECODE, RESIZE
from .operation_settings import operations_of
from .resize import Array, ResizeShort

_DEFAULTS: Final = Settings()
_WHOLE: Final = 2**30
"""Pixels that no image has on its short side: it is decoded at its full size."""


class Compose:
    """Applies operations in sequence.

    Args:
        operations: Each one gets the result of the one before it.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = tuple(operations)

    def __call__(self, image: Array) -> Array:
        """Apply all operations to an image [H, W, C]; raises what they raise."""
        for operation in self.operations:
            image = operation(image)
        return image

    def __repr__(self) -> str:
        return f"Compose({list(self.operations)})"


def reduced_size(resize_short: int, settings: Settings) -> int:
    """Return the `reduce_to` of `DecodeImage`, in pixels, for settings with reduced_decode.

    Args:
        resize_short: Length of the short side after resizing, in pixels.
        settings: A resize_size or transform_ops in them replace `resize_short`.
    """
    if not settings.transform_ops:
        return max(settings.resize_size, default=resize_short)
    first = next((op for op in settings.transform_ops if op.name != DECODE), None)
    options: dict[str, Any] = dict(first.options) if first else {}
    if first and first.name == CROP_AT_RATIO:
        return int(options["size"] + options["pad"])
    if first and first.name == RESIZE:
        return int(options.get("resize_short") or max(options["size"]))
    return _WHOLE  # its pixels are used as they are


def normalization(settings: Settings) -> Normalize:
    """Return the normalization of the settings: by mean, std and scale, or that of their transform_ops."""
    return make_operations(operations_of(settings)).normalize


def create_transforms(
    resize_short: int = Settings.resize_short,
    crop_size: int = Settings.crop_size,
    *,
    normalize: bool = True,
    to_chw: bool = True,
    settings: Settings = _DEFAULTS,
) -> Compose:
    """Return the operations that turn a decoded image into one entry of the model's batch.

    Args:
        resize_short: Length of the short side after resizing, in pixels.
        crop_size: Side of the center crop, in pixels.
        normalize: Normalize by the settings' mean, std and scale; if false, the pixels stay uint8.
        to_chw: Move the channels to the front.
        settings: All other options; a resize_size or transform_ops in them replace both sizes above.

    Returns:
        A callable; with the defaults, image [H, W, 3] uint8, RGB -> [3, crop_size, crop_size] float32.

    Raises:
        SettingsError: The settings' resize_backend is Pillow, which isn't installed; or the normalization is
            to be left out, and others of the transform_ops come after it.
    """
    made = make_operations(operations_of(settings))
    operations = list(made.before)
    if not (settings.transform_ops or settings.resize_size):
        how = settings.interpolation, settings.resize_backend
        operations = [ResizeShort(resize_short, *how), CenterCrop(crop_size)]
    if not normalize and made.after:
        raise SettingsError(
            f"transform_ops has {made.after_names[0]} after the normalization, which can't be left out"
        )
    if normalize and to_chw and not made.after:
        operations.append(NormalizeToCHW(made.normalize))
        return Compose(operations)
    if normalize:
        operations += [made.normalize, *made.after]
    if to_chw:
        operations.append(ToCHW())
    return Compose(operations)
