"""Converts the transform_ops of an inference.yml to settings."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..settings import Settings

Values = dict[str, object]
"""Settings by name, not yet validated."""

_Options = dict[str, Any]
_ORDERS: Final = (
    ("DecodeImage", "ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage", "KeepKeys"),
    ("DecodeImage", "ResizeImage", "CropImage", "ToCHWImage", "NormalizeImage", "KeepKeys"),  # equivalent
)
_REQUIRED: Final = ("ResizeImage", "ToCHWImage")
_CHANNELS: Final = 3


class InvalidEntryError(Exception):
    """Raised for an invalid or unsupported entry of the file; the message names it, but not the file."""


def read_operations(section: Mapping[str, Any]) -> Values:
    """Read PreProcess.transform_ops.

    Args:
        section: The section PreProcess.

    Returns:
        The equivalent settings; empty without transform_ops.

    Raises:
        InvalidEntryError: An operation or option is invalid, not supported, missing, or in the wrong place.
    """
    if "transform_ops" not in section:
        return {}
    operations = section["transform_ops"]
    if not isinstance(operations, list):
        raise InvalidEntryError(f"transform_ops is {operations!r:.80}; it takes a list of operations")
    named = [_operation(entry) for entry in operations]
    _check_order([name for name, _ in named])
    values: Values = {"resize_size": (), "mean": (0,) * _CHANNELS, "std": (1,) * _CHANNELS, "scale": 1}
    for name, options in named:
        values.update(_READERS[name](options))
        if options:
            raise InvalidEntryError(f"{name} has an option {next(iter(options))!r}, which is not supported")
    if values["resize_size"]:
        size = values.pop("crop_size", values["resize_size"])
        if _pair(size, "CropImage") != values["resize_size"]:
            raise InvalidEntryError("CropImage after ResizeImage.size must have the same size")
    elif "crop_size" not in values:
        raise InvalidEntryError(
            "CropImage is missing: after ResizeImage.resize_short, images differ in shape"
        )
    return values


def _operation(entry: object) -> tuple[str, _Options]:
    """Return the name and options of an entry of transform_ops."""
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise InvalidEntryError(f"transform_ops holds {entry!r:.80}; it takes one operation per entry")
    [(name, options)] = entry.items()
    if name not in _READERS:
        raise InvalidEntryError(f"transform_ops has an operation {name!r}, which is not supported")
    if options is not None and not isinstance(options, Mapping):
        raise InvalidEntryError(f"{name} is {options!r:.80}; it takes an object")
    return name, dict(options or {})


def _check_order(names: list[str]) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InvalidEntryError(f"transform_ops has no {missing[0]}")
    if names not in [[name for name in order if name in names] for order in _ORDERS]:
        wanted = ", ".join(_ORDERS[0])
        raise InvalidEntryError(
            f"transform_ops has {', '.join(names)}; it takes {wanted}, in this order, each at most once"
        )


def take(options: _Options, operation: str, **allowed: tuple[object, ...]) -> None:
    """Remove options that have only one supported meaning.

    Args:
        options: The options of the operation; changed in place.
        operation: Its name.
        **allowed: The supported values of each option, the default first.

    Raises:
        InvalidEntryError: An option has another value.
    """
    for name, values in allowed.items():
        value = options.pop(name, values[0])
        if value not in values:
            raise InvalidEntryError(f"{operation}.{name} is {value!r:.80}; only {values[0]!r} is supported")


def _read_decode(options: _Options) -> Values:
    take(options, "DecodeImage", to_rgb=(True,), to_np=(False,), channel_first=(False, None))
    take(options, "DecodeImage", backend=("cv2",))
    return {}


def _read_resize(options: _Options) -> Values:
    take(options, "ResizeImage", return_numpy=(True, None))
    short, size = options.pop("resize_short", None), options.pop("size", None)
    if (short is None) == (size is None):
        raise InvalidEntryError("ResizeImage takes either resize_short or size")
    sizes: Values = {"resize_short": short} if size is None else {"resize_size": _pair(size, "ResizeImage")}
    interpolation, backend = options.pop("interpolation", None), options.pop("backend", None)
    return {**sizes, "interpolation": interpolation or "bilinear", "resize_backend": backend or "cv2"}


def _read_crop(options: _Options) -> Values:
    width, height = pair = _pair(options.pop("size", None), "CropImage")
    return {"crop_size": width if width == height else pair}


def _pair(size: object, operation: str) -> tuple[object, object]:
    """Return width and height; a single number means both."""
    if not isinstance(size, list | tuple):
        return size, size
    if len(size) != 2:  # noqa: PLR2004  # width and height
        raise InvalidEntryError(
            f"{operation}.size is {list(size)!r:.80}; it takes a number, or width and height"
        )
    return size[0], size[1]


def _read_normalize(options: _Options) -> Values:
    take(options, "NormalizeImage", order=("", "chw", "hwc", None), output_fp16=(False, None))
    take(options, "NormalizeImage", channel_num=(_CHANNELS, None))
    found = {name: options.pop(name, None) for name in ("mean", "std", "scale")}
    scale = found["scale"]
    values: Values = {"scale": Settings.scale if scale is None else _fraction(scale)}
    for name, default in (("mean", Settings.mean), ("std", Settings.std)):
        value = found[name]
        values[name] = default if value is None else tuple(value) if isinstance(value, list) else value
    return values


def _fraction(scale: object) -> object:
    """Convert a string such as PaddleClas' "1.0/255.0"; the settings reject whatever isn't a number."""
    if not isinstance(scale, str):
        return scale
    dividend, _, divisor = scale.partition("/")
    try:
        return float(dividend) / float(divisor or 1)
    except (ValueError, ZeroDivisionError):
        return scale


def _read_to_chw(_: _Options) -> Values:
    return {}


def _read_keep_keys(options: _Options) -> Values:
    keys = options.pop("keep_keys", ["image"])
    if keys not in (["image"], "image"):
        raise InvalidEntryError(f"KeepKeys.keep_keys is {keys!r:.80}; only 'image' is supported")
    return {}


_READERS: Final[Mapping[str, Callable[[_Options], Values]]] = {
    "DecodeImage": _read_decode,
    "ResizeImage": _read_resize,
    "CropImage": _read_crop,
    "NormalizeImage": _read_normalize,
    "ToCHWImage": _read_to_chw,
    "KeepKeys": _read_keep_keys,
}
