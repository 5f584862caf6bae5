"""Reads the operations of an inference.yml, each with its options, into one spelling.

The names, defaults and spellings are those of PaddleClas' and PaddleX' inference; they spell the same thing
in several ways, in any case: LINEAR, bilinear and 1 are one interpolation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ..errors import SettingsError
from ..settings import IMAGENET_MEAN, IMAGENET_STD, LARGE, TINY, Settings, TransformOp
from .options import BACKENDS, Options

DECODE: Final = "DecodeImage"
RESIZE: Final = "ResizeImage"
CROP: Final = "CropImage"
CROP_AT_RATIO: Final = "CropImageAtRatio"
PAD: Final = "Pad"
NORMALIZE: Final = "NormalizeImage"
TO_CHW: Final = "ToCHWImage"
KEEP_KEYS: Final = "KeepKeys"

_MODES: Final = {"rgb": "RGB", "bgr": "BGR", "gray": "GRAY"}
_ORDERS: Final = {"": "", "chw": "chw", "hwc": "hwc"}
_PADDLEX_MEAN: Final = 0.5
_PADDING: Final = 127.5
_CHANNELS: Final = 3


def _decode(options: Options) -> list[TransformOp]:
    mode = options.word("img_mode", _MODES, "RGB")
    if not options.flag("to_rgb", default=True) and mode == "RGB":
        mode = "BGR"
    options.flag("to_np", default=False)  # what decodes here always returns an array
    options.word("backend", BACKENDS, "cv2")  # what decodes here is OpenCV
    made = [] if mode == "RGB" else [operation(DECODE, img_mode=mode)]
    return [*made, *([operation(TO_CHW)] if options.flag("channel_first", default=False) else [])]


def _resize(options: Options) -> list[TransformOp]:
    options.flag("return_numpy", default=True)  # what resizes here always returns an array
    short = options.take("resize_short")
    if type(short) is int and short <= 0:  # PaddleClas then looks at size
        short = None
    short = Options(RESIZE, {"resize_short": short}).whole("resize_short")
    size, how = options.size("size"), options.interpolation("interpolation")
    if short is not None:
        return [operation(RESIZE, resize_short=short, **how, **_shape(options))]
    if size is None:
        raise SettingsError("ResizeImage takes either resize_short or size")
    return [operation(RESIZE, size=size, **how, **_shape(options, keep_ratio=True))]


def _resize_to(options: Options) -> list[TransformOp]:
    size, how = options.needed("target_size"), options.interpolation("interp")
    return [operation(RESIZE, size=size, **how, **_shape(options, keep_ratio=True))]


def _resize_by_short(options: Options) -> list[TransformOp]:
    short = options.whole("target_short_edge")
    if short is None:
        raise SettingsError("ResizeByShort.target_short_edge is missing: a number of pixels")
    return [operation(RESIZE, resize_short=short, **options.interpolation("interp"), **_shape(options))]


def _shape(options: Options, *, keep_ratio: bool = False) -> dict[str, object]:
    """Return what else decides on the size; only what isn't the default."""
    found: dict[str, object] = {}
    if options.flag("keep_ratio", default=False) and keep_ratio:
        found["keep_ratio"] = True
    if divisor := options.whole("size_divisor"):
        found["size_divisor"] = divisor
    return found


def _crop(options: Options) -> list[TransformOp]:
    return [operation(CROP, size=options.needed("size"))]


def _crop_center(options: Options) -> list[TransformOp]:
    options.word("mode", {"c": "C"}, "C")
    return [operation(CROP, size=options.needed("crop_size"))]


def _crop_at_ratio(options: Options) -> list[TransformOp]:
    size, pad = options.whole("size"), options.whole("pad", minimum=0)
    if size is None or pad is None:
        raise SettingsError("CropImageAtRatio takes size and pad, in pixels")
    how = options.interpolation("interpolation")
    return [operation(CROP_AT_RATIO, size=size, pad=pad, **how)]


def _pad(options: Options) -> list[TransformOp]:
    size = options.needed("target_size")
    return [operation(PAD, target_size=size, val=options.numbers("val", (_PADDING,) * 3, _CHANNELS, -LARGE))]


def _normalize(options: Options) -> list[TransformOp]:
    count = options.take("channel_num")
    count = _CHANNELS if count is None else count
    if type(count) is not int or count not in (1, 3, 4):
        options.refuse("channel_num", count, "3, 4 (the fourth is zeros) or 1")
    options.word("order", _ORDERS, "")  # the place in the list tells
    is_half = options.flag("output_fp16", default=False)
    means: dict[str, tuple[float, ...]] = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    if count == 1:
        means = {"mean": (), "std": ()}
    return [_normalization(options, means, count, is_half=is_half)]


def _normalize_of_paddlex(options: Options) -> list[TransformOp]:
    means = dict.fromkeys(("mean", "std"), (_PADDLEX_MEAN,) * _CHANNELS)
    return [_normalization(options, means, _CHANNELS, is_half=False)]


def _normalization(
    options: Options, defaults: Mapping[str, Sequence[float]], count: int, *, is_half: bool
) -> TransformOp:
    num_means = min(count, _CHANNELS)
    mean = options.numbers("mean", defaults["mean"], num_means, -LARGE)
    std = options.numbers("std", defaults["std"], num_means, TINY)
    if not (mean and std):
        raise SettingsError("NormalizeImage.channel_num is 1, which takes a mean and a std of one number")
    scale = options.take("scale")
    number = Settings.scale if scale is None else _fraction(scale)
    if type(number) not in (int, float) or not TINY <= number <= LARGE:  # type: ignore[operator]
        options.refuse("scale", scale, f"a number from {TINY:g} to {LARGE:g}, or 1.0/255.0")
    half = {"output_fp16": True} if is_half else {}
    return operation(NORMALIZE, mean=mean, std=std, scale=number, channel_num=count, **half)


def _fraction(scale: object) -> object:
    """Convert a string such as PaddleClas' "1.0/255.0"; anything else stays as it is."""
    if not isinstance(scale, str):
        return scale
    dividend, _, divisor = scale.partition("/")
    try:
        return float(dividend) / float(divisor or 1)
    except (ValueError, ZeroDivisionError):
        return scale


def _to_chw(_: Options) -> list[TransformOp]:
    return [operation(TO_CHW)]


def _transpose(options: Options) -> list[TransformOp]:
    order = options.take("order")
    if order not in (None, [2, 0, 1]):
        options.refuse("order", order, "[2, 0, 1], which moves the channels to the front")
    return [operation(TO_CHW)]


def _keep_keys(options: Options) -> list[TransformOp]:
    keys = options.take("keep_keys")
    if keys not in (None, ["image"], "image"):
        options.refuse("keep_keys", keys, "image, which is all that there is")
    return []


def operation(name: str, **options: object) -> TransformOp:
    """Return an operation with these options."""
    return TransformOp(name, tuple(options.items()))


READERS: Final[Mapping[str, Callable[[Options], list[TransformOp]]]] = {
    DECODE: _decode,
    RESIZE: _resize,
    "Resize": _resize_to,
    "ResizeByShort": _resize_by_short,
    CROP: _crop,
    "Crop": _crop_center,
    CROP_AT_RATIO: _crop_at_ratio,
    PAD: _pad,
    NORMALIZE: _normalize,
    "Normalize": _normalize_of_paddlex,
    TO_CHW: _to_chw,
    "Transpose": _transpose,
    KEEP_KEYS: _keep_keys,
}
"""Name of an operation in the file -> reads its options, and returns what it stands for."""
