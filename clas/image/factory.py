"""Makes the operations that are described in transform_ops."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..settings import TransformOp
from .crop import CenterCrop, CropAtRatio, Pad
from .normalize import Normalize, ToGray
from .operation_readers import CROP, CROP_AT_RATIO, DECODE, NORMALIZE, PAD, RESIZE
from .operation_settings import UNCHANGED
from .resize import Array, Resize, ResizeShort

Operation = Callable[[Array], Array]

_Options = Mapping[str, Any]
_RGB: Final = 3


class MadeOperations(NamedTuple):
    """What is done to an image [H, W, 3] (RGB, uint8) before it is [H, W, C] as the model takes it.

    Attributes:
        before: The operations on pixels, which stay uint8; RGB, or [H, W, 1] if `is_gray`.
        is_gray: Whether they make the image grey.
        normalize: The normalization; it also makes B, G, R of R, G, B where the model takes that, which
            leaves the operations before it to images in one order, wherever they are done.
        after: The operations after it; mostly none.
        after_names: Their names in transform_ops.
    """

    before: tuple[Operation, ...]
    is_gray: bool
    normalize: Normalize
    after: tuple[Operation, ...]
    after_names: tuple[str, ...]


def make_operations(operations: Sequence[TransformOp]) -> MadeOperations:
    """Make the operations of a model.

    Raises:
        SettingsError: One of them is done by Pillow, which isn't installed.
    """
    modes = [dict(op.options)["img_mode"] for op in operations if op.name == DECODE]
    names = [op.name for op in operations]
    place = names.index(NORMALIZE) if NORMALIZE in names else len(names)
    after = [op for op in operations[place + 1 :] if op.name in _MAKERS]
    is_gray, is_bgr = "GRAY" in modes, "BGR" in modes
    options: _Options = {**UNCHANGED, "channel_num": 1 if is_gray else _RGB}
    if place < len(names):
        options = dict(operations[place].options)

    def made(op: TransformOp, *, is_bgr: bool) -> Operation:
        return _MAKERS[op.name](dict(op.options), is_bgr)

    before = [made(op, is_bgr=is_bgr) for op in operations[:place] if op.name in _MAKERS]
    return MadeOperations(
        tuple([ToGray(), *before] if is_gray else before),
        is_gray,
        _normalize(options, is_bgr=is_bgr),
        tuple(made(op, is_bgr=False) for op in after),
        tuple(op.name for op in after),
    )


def _normalize(options: _Options, *, is_bgr: bool) -> Normalize:
    num_means = min(options["channel_num"], _RGB)
    return Normalize(
        options["mean"][:num_means],
        options["std"][:num_means],
        options["scale"],
        reverse=is_bgr,
        add_zeros=options["channel_num"] > num_means,
        round_to_half=options.get("output_fp16", False),
    )


def _resize(options: _Options, _: bool) -> Operation:
    how = options["interpolation"], options["backend"]
    divisor = options.get("size_divisor", 1)
    if "resize_short" in options:
        return ResizeShort(options["resize_short"], *how, size_divisor=divisor)
    keep_ratio = options.get("keep_ratio", False)
    width, height = options["size"]
    return Resize(width, height, *how, keep_ratio=keep_ratio, size_divisor=divisor)


def _crop(options: _Options, _: bool) -> Operation:
    width, height = options["size"]
    return CenterCrop(width if width == height else (width, height))


def _crop_at_ratio(options: _Options, _: bool) -> Operation:
    return CropAtRatio(options["size"], options["pad"], options["interpolation"], options["backend"])


def _pad(options: _Options, is_bgr: bool) -> Operation:
    (width, height), value = options["target_size"], options["val"]
    return Pad(width, height, value[::-1] if is_bgr else value)


_MAKERS: Final[Mapping[str, Callable[[_Options, bool], Operation]]] = {
    RESIZE: _resize,
    CROP: _crop,
    CROP_AT_RATIO: _crop_at_ratio,
    PAD: _pad,
}
"""Name of an operation that changes the size -> makes it of its options, and of whether the file has B, G, R
where the image has R, G, B."""
