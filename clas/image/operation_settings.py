"""The operations that settings stand for, and the settings that operations can be said by.

The usual operations (resizing, a square crop, normalization) are settings, each of which a flag can change.
What these can't say, an inference.yml gives as `Settings.transform_ops`. Either way, a list is what runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..settings import Settings, TransformOp
from .operation_readers import CROP, NORMALIZE, RESIZE, operation
from .operations import GEOMETRY, described, read_operations

UNCHANGED: Final[Mapping[str, Any]] = {"mean": (0, 0, 0), "std": (1, 1, 1), "scale": 1}
"""A normalization that leaves the pixels as they are."""

_RGB: Final = 3
_RENAMED: Final = {"resize_backend": "backend"}
"""Settings that are options of another name."""


def operations_of(settings: Settings) -> tuple[TransformOp, ...]:
    """Return the operations that settings stand for."""
    if settings.transform_ops:
        return settings.transform_ops
    means: dict[str, object] = {"mean": settings.mean, "std": settings.std, "scale": settings.scale}
    normalize = operation(NORMALIZE, **means, channel_num=_RGB)
    return (*_sizing(settings, settings.resize_short, _how(settings)), normalize)


def as_settings(operations: Sequence[TransformOp]) -> dict[str, object]:
    """Return the settings that say the same as operations; empty if none do."""
    names = [op.name for op in operations]
    if NORMALIZE in names[:-1] or [name for name in names if name != NORMALIZE] not in (
        [RESIZE],
        [RESIZE, CROP],
    ):
        return {}
    options: dict[str, dict[str, Any]] = {op.name: dict(op.options) for op in operations}
    resize, crop = options[RESIZE], options.get(CROP, {})
    normalize: Mapping[str, Any] = options.get(NORMALIZE, {**UNCHANGED, "channel_num": _RGB})
    if normalize["channel_num"] != _RGB or "output_fp16" in normalize:
        return {}
    values = {name: normalize[name] for name in UNCHANGED}
    values |= {"interpolation": resize.pop("interpolation"), "resize_backend": resize.pop("backend")}
    if set(resize) == {"resize_short"} and crop and crop["size"][0] == crop["size"][1]:
        return {"resize_size": (), **values, **resize, "crop_size": crop["size"][0]}
    if set(resize) == {"size"} and crop.get("size", resize["size"]) == resize["size"]:
        return {"resize_size": resize["size"], **values}
    return {}


def replaced(
    operations: Sequence[TransformOp], settings: Settings, names: Sequence[str]
) -> tuple[TransformOp, ...]:
    """Return operations with settings that were given for this start in place of their options.

    A size that none of the operations has selects the settings' way of resizing.

    Args:
        operations: Those of an inference.yml.
        settings: The values.
        names: Of PREPROCESS_NAMES, those that were given.

    Raises:
        SettingsError: The values don't go with the operations.
    """
    sizes = [name for name in ("resize_size", "resize_short", "crop_size") if name in names]
    changed = list(operations)
    if sizes and not all(_has_size(operations, name) for name in sizes):
        rest = [op for op in changed if op.name not in GEOMETRY]
        place = next((number for number, op in enumerate(rest) if op.name == NORMALIZE), len(rest))
        changed = [*rest[:place], *_resizing_as_before(operations, settings, names), *rest[place:]]
    if not {"mean", "std", "scale"}.isdisjoint(names) and all(op.name != NORMALIZE for op in changed):
        changed.append(operation(NORMALIZE, **UNCHANGED, channel_num=_RGB))
    values = {_RENAMED.get(name, name): getattr(settings, name) for name in names}
    return read_operations(described([_with_values(op, values) for op in changed])).listed


def _has_size(operations: Sequence[TransformOp], setting: str) -> bool:
    """Whether one of the operations has a size for this setting."""
    places = {"resize_short": (RESIZE, "resize_short"), "crop_size": (CROP, "size")}
    name, option = places.get(setting, ("", ""))
    return any(op.name == name and option in dict(op.options) for op in operations)


def _with_values(op: TransformOp, values: Mapping[str, Any]) -> TransformOp:
    """Return an operation with these values for the options that it has."""
    options = dict(op.options)
    options.update({name: value for name, value in values.items() if name in options})
    if op.name == CROP and "crop_size" in values:
        options["size"] = values["crop_size"]
    return operation(op.name, **options)


def _resizing_as_before(
    operations: Sequence[TransformOp], settings: Settings, names: Sequence[str]
) -> list[TransformOp]:
    """Return the settings' way of resizing, with what the operations say of it."""
    options = next((dict(op.options) for op in operations if op.name == RESIZE), {})
    short: Any = options.get("resize_short", settings.resize_short)
    how = {name: options.get(name, value) for name, value in _how(settings).items()}
    return _sizing(settings, settings.resize_short if "resize_short" in names else short, how)


def _sizing(settings: Settings, resize_short: int, how: Mapping[str, object]) -> list[TransformOp]:
    """Return the operations that give an image its size."""
    if settings.resize_size:
        return [operation(RESIZE, size=settings.resize_size, **how)]
    crop = (settings.crop_size, settings.crop_size)
    return [operation(RESIZE, resize_short=resize_short, **how), operation(CROP, size=crop)]


def _how(settings: Settings) -> dict[str, object]:
    return {"interpolation": settings.interpolation, "backend": settings.resize_backend}
