"""Says where the client's preprocessing isn't what a standalone server does to images.

The server can't tell such tensors from right ones: with another interpolation or another mean, scores are off
by 0.004 to 0.8, without an error.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clas.image.factory import Operation
from clas.image.operation_settings import operations_of
from clas.image.operations import Size, output_size
from clas.image.transforms import create_transforms
from clas.settings import PREPROCESS_NAMES

from .log import LOGGER
from .reply import ServiceError
from .server_info import ServerInfo
from .settings import ClientSettings

_NORMALIZATION: Final = ("mean", "std", "scale")
_NOT_NORMALIZED: Final = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "scale": 1.0}
_BRIGHTEST: Final = 255
_TOLERANCE: Final = 1e-3  # of a normalized pixel: files round 1/255 in several ways
_RANK: Final = 4  # of the model's input


def warn_of_differences(settings: ClientSettings, preprocess: Operation, server: ServerInfo) -> None:
    """Log in one line what the server does in another way, and the flags that make both agree.

    Nothing is said of a server that doesn't describe itself, nor of a `make_preprocess` that was changed: it
    may do anything.

    Args:
        settings: The client settings.
        preprocess: What `make_preprocess` returned for them.
        server: What the server says about itself.
    """
    if "preprocess" not in server.model or repr(preprocess) != repr(_standard_preprocess(settings)):
        return
    try:
        described = server.preprocessing()
    except ServiceError as exc:
        LOGGER.warning("%s; --wire encoded leaves the preprocessing to the server", exc)
        return
    if described.transform_ops:
        LOGGER.warning(
            "the server preprocesses images by the operations of its model, which these flags can't say, so "
            "the scores may be wrong: --preprocess server takes them, and --wire encoded leaves all of it to "
            "the server"
        )
        return
    theirs = {name: getattr(described, name) for name in PREPROCESS_NAMES}
    names = _compared_sizes(theirs, output_size(operations_of(described)), server.model.get("input_shape"))
    found = list(_differences(settings, theirs, names))
    if found:
        LOGGER.warning(
            "the server preprocesses images in another way than these flags, so the scores may be wrong: %s; "
            "--preprocess server takes its settings, and --wire encoded leaves all of it to the server",
            ", ".join(found),
        )


def _standard_preprocess(settings: ClientSettings) -> Operation:
    """What an unchanged `make_preprocess` returns."""
    return create_transforms(
        settings.resize_short,
        settings.crop_size,
        normalize=settings.normalize,
        to_chw=settings.to_chw,
        settings=settings.settings,
    )


def _differences(
    settings: ClientSettings, theirs: Mapping[str, Any], sizes: tuple[str, ...]
) -> Iterator[str]:
    """Yield the settings that differ, each with both values."""
    ours = {name: getattr(settings.settings, name) for name in PREPROCESS_NAMES}
    ours |= {"resize_short": settings.resize_short, "crop_size": settings.crop_size}
    ours |= {} if settings.normalize else _NOT_NORMALIZED
    is_left_to_server = settings.normalize and settings.wire == "uint8"
    is_other = np.abs(_line(ours) - _line(theirs)).max() > _TOLERANCE
    values = _NORMALIZATION if is_other and not is_left_to_server else ()
    for name in (*sizes, "interpolation", "resize_backend", *values):
        if ours[name] != theirs[name]:
            yield f"{name} ({_shown(theirs[name])} there, {_shown(ours[name])} here)"


def _compared_sizes(theirs: Mapping[str, Any], size: Size, input_shape: object) -> tuple[str, ...]:
    """The names of the sizes that count; none if the server's own don't fit its model, as its log says."""
    wanted = size[::-1]
    if isinstance(input_shape, list) and len(input_shape) == _RANK:
        sides = input_shape[2:], input_shape[1:3]  # of [N, C, H, W] or [N, H, W, C]
        if not any(all(map(_fits, found, wanted)) for found in sides):
            return ()
    return ("resize_size",) if theirs["resize_size"] else ("resize_short", "crop_size")


def _fits(side: object, wanted: int | None) -> bool:
    return side is None or side == wanted


def _line(values: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """What normalization makes of the darkest and of the brightest pixels, for each channel."""
    mean, std = np.asarray(values["mean"]), np.asarray(values["std"])
    return np.stack([(level * values["scale"] - mean) / std for level in (0, _BRIGHTEST)])


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
