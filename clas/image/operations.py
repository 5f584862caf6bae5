"""Reads transform_ops: the operations that make the model's input of an image, in the order that they run."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..errors import SettingsError
from ..settings import TransformOp
from .operation_readers import (
    CROP,
    CROP_AT_RATIO,
    DECODE,
    KEEP_KEYS,
    NORMALIZE,
    PAD,
    READERS,
    RESIZE,
    TO_CHW,
    operation,
)
from .options import Options

Size = tuple[int | None, int | None]
"""Width and height in pixels; None where they depend on the image."""

GEOMETRY: Final = (RESIZE, CROP, CROP_AT_RATIO, PAD)
"""Operations that change the size."""
WITHOUT_TO_CHW: Final = "transform_ops has no ToCHWImage: the axes are in the order that the model takes"

_ANY: Final[Size] = (None, None)


class Operations(NamedTuple):
    """The content of transform_ops.

    Attributes:
        listed: The operations, in order; without ToCHWImage, since the model's input tells where it takes
            the channels.
        notes: What is done although the file doesn't say it.
    """

    listed: tuple[TransformOp, ...]
    notes: tuple[str, ...]


def read_operations(entries: object) -> Operations:
    """Read transform_ops of an inference.yml, or what `described` has made of it.

    Raises:
        SettingsError: An operation or option is invalid, not supported, or in the wrong place.
    """
    if not isinstance(entries, list):
        raise SettingsError(f"transform_ops is {entries!r:.80}; it takes a list of operations")
    named = [_entry(entry) for entry in entries]
    names = [name for name, _ in named]
    if DECODE in names[1:]:
        raise SettingsError("transform_ops has DecodeImage after another operation; it comes first")
    if KEEP_KEYS in names[:-1]:
        raise SettingsError("transform_ops has KeepKeys before another operation; it comes last")
    found = [op for name, options in named for op in _read(name, options)]
    _check_order([op.name for op in found])
    notes = () if TO_CHW in [op.name for op in found] else (WITHOUT_TO_CHW,)
    listed = _with_one_channel([op for op in found if op.name != TO_CHW])
    _check_backends(listed)
    output_size(listed)  # refuses crops that no image is large enough for
    return Operations(tuple(listed), notes)


def described(operations: Sequence[TransformOp]) -> list[dict[str, dict[str, object]]]:
    """Return operations as JSON has them, in the form of transform_ops."""
    return [
        {op.name: {name: list(value) if isinstance(value, tuple) else value for name, value in op.options}}
        for op in operations
    ]


def output_size(operations: Sequence[TransformOp]) -> Size:
    """Return the size of preprocessed images.

    Raises:
        SettingsError: A crop or a padding has a size that doesn't go with the one before it.
    """
    size, short = _ANY, None
    for op in operations:
        options: dict[str, Any] = dict(op.options)
        if op.name == RESIZE:
            is_fixed = "size" in options and not options.keys() & {"keep_ratio", "size_divisor"}
            size = options["size"] if is_fixed else _ANY
            short = options.get("resize_short") if "size_divisor" not in options else None
        elif op.name == CROP:
            _check_crop(options["size"], size, short)
            size, short = options["size"], None
        elif op.name == CROP_AT_RATIO:
            size, short = (options["size"], options["size"]), None
        elif op.name == PAD:
            size, short = options["target_size"], None
    return size


def _entry(entry: object) -> tuple[str, Mapping[str, Any]]:
    """Return the name and options of an entry of transform_ops."""
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise SettingsError(f"transform_ops holds {entry!r:.80}; it takes one operation per entry")
    [(name, options)] = entry.items()
    if name not in READERS:
        raise SettingsError(f"transform_ops has an operation {name!r}, which is not supported")
    if options is not None and not isinstance(options, Mapping):
        raise SettingsError(f"{name} is {options!r:.80}; it takes an object")
    return name, options or {}


def _read(name: str, given: Mapping[str, Any]) -> list[TransformOp]:
    options = Options(name, given)
    found = READERS[name](options)
    options.check_empty()
    return found


def _check_order(names: Sequence[str]) -> None:
    for name in (NORMALIZE, TO_CHW):
        if names.count(name) > 1:
            raise SettingsError(f"transform_ops has {name} twice; it takes it once")
    if TO_CHW in names:
        late = [name for name in names[names.index(TO_CHW) :] if name in GEOMETRY]
        if late:
            raise SettingsError(f"transform_ops has {late[0]} after the channels were moved to the front")


def _check_backends(operations: Sequence[TransformOp]) -> None:
    """Refuse to resize with Pillow what isn't pixels any more."""
    names = [op.name for op in operations]
    late = operations[names.index(NORMALIZE) :] if NORMALIZE in names else ()
    if any(dict(op.options).get("backend") == "pil" for op in late):
        raise SettingsError("transform_ops resizes with backend pil after NormalizeImage; it takes cv2 there")


def _check_crop(size: tuple[int, int], before: Size, short: int | None) -> None:
    """Refuse a crop that is larger than every image that comes to it."""
    sides = zip(size, before, strict=True)
    if any(side is not None and side < wanted for wanted, side in sides):
        raise SettingsError(f"CropImage.size is {list(size)}, but the images before it have {list(before)}")
    if short is not None and short < min(size):
        raise SettingsError(
            f"ResizeImage.resize_short is {short} and CropImage.size {list(size)}: no image is large enough"
        )


def _with_one_channel(operations: list[TransformOp]) -> list[TransformOp]:
    """Put the conversion to grey first where the normalization is for one channel.

    Raises:
        SettingsError: The image is grey, and the normalization is for colours.
    """
    count = next((dict(op.options)["channel_num"] for op in operations if op.name == NORMALIZE), None)
    mode = next((dict(op.options)["img_mode"] for op in operations if op.name == DECODE), "RGB")
    if mode == "GRAY" and count not in (None, 1):
        raise SettingsError(f"DecodeImage.img_mode is GRAY, but NormalizeImage.channel_num is {count}")
    if count != 1 or mode == "GRAY":
        return operations
    return [operation(DECODE, img_mode="GRAY"), *(op for op in operations if op.name != DECODE)]
