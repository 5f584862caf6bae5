"""The inference.yml that PaddleClas and PaddleX write beside an exported model.

It says what was done to the images in training, and what is to be made of the scores. What stands in it beats
params.py, which knows nothing of this model; what is given for one start (init_args, a flag) beats both.
Nothing in it is passed over in silence: an operation, or an option of one, that isn't known ends the start.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from .errors import ModelConfigError, SettingsError
from .settings import Settings

FILE_NAME: Final = "inference.yml"

_Options = dict[str, Any]
_Values = dict[str, object]
_ORDERS: Final = (
    ("DecodeImage", "ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage", "KeepKeys"),
    ("DecodeImage", "ResizeImage", "CropImage", "ToCHWImage", "NormalizeImage", "KeepKeys"),  # the same
)
_NEEDED: Final = ("ResizeImage", "ToCHWImage")
_CHANNELS: Final = 3
_SIZES: Final = ("resize_short", "crop_size")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What one inference.yml says.

    Attributes:
        path: The file.
        values: Settings by their names.
        labels: Class id -> name, if the file itself holds them; empty otherwise.
    """

    path: Path
    values: Mapping[str, object]
    labels: Mapping[int, str]

    def apply(self, settings: Settings) -> tuple[Settings, tuple[str, ...]]:
        """Put the file's values in the place of those of params.py.

        Returns:
            The settings, and the names of those values that were given for this start and stay.

        Raises:
            ModelConfigError: A value is unfit, or doesn't go with the others.
        """
        kept = {name for name in self.values if name in settings.overridden}
        if settings.overridden.intersection(_SIZES):  # a size given for this start means that way of resizing
            kept |= self.values.keys() & {"resize_size"}
        used = {name: value for name, value in self.values.items() if name not in kept}
        try:
            return dataclasses.replace(settings, **used), tuple(sorted(kept))  # type: ignore[arg-type]
        except SettingsError as exc:
            raise ModelConfigError(f"{self.path} doesn't fit: {exc}") from exc


def read_inference_yml(directory: Path) -> ModelConfig | None:
    """Read the inference.yml of a model's directory.

    Returns:
        What it says; None if there is none.

    Raises:
        ModelConfigError: It can't be read, or holds what isn't known here; names file and entry.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return None
    content = _load(path)
    try:
        values = _read_operations(_section(content, "PreProcess"))
        post_values, labels = _read_postprocess(_section(content, "PostProcess"))
    except _UnfitError as exc:
        raise ModelConfigError(f"{path}: {exc}") from exc
    return ModelConfig(path, {**values, **post_values}, labels)


class _UnfitError(Exception):
    """An entry is unfit; the message names it, but not the file."""


def _load(path: Path) -> Mapping[str, Any]:
    try:
        import yaml  # noqa: PLC0415  # see module.py on late imports
    except ImportError as exc:
        raise ModelConfigError(f"{path} needs PyYAML: pip install pyyaml") from exc
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml, 1000 labels take 10 ms, not 200
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), loader)  # noqa: S506  # a safe one
    except OSError as exc:
        raise ModelConfigError(f"{path} can't be read: {exc.strerror}") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:  # UnicodeDecodeError is a ValueError
        raise ModelConfigError(f"{path} is no YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(content, Mapping):
        raise ModelConfigError(f"{path} holds no object; it takes PreProcess and PostProcess")
    return content


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = content.get(name)
    if section is not None and not isinstance(section, Mapping):
        raise _UnfitError(f"{name} is {section!r:.80}; it takes an object")
    return section or {}


def _read_operations(section: Mapping[str, Any]) -> _Values:
    """The settings that PreProcess.transform_ops stands for; none if it isn't there."""
    if "transform_ops" not in section:
        return {}
    operations = section["transform_ops"]
    if not isinstance(operations, list):
        raise _UnfitError(f"transform_ops is {operations!r:.80}; it takes a list of operations")
    named = [_operation(entry) for entry in operations]
    _check_order([name for name, _ in named])
    values: _Values = {"resize_size": (), "mean": (0,) * _CHANNELS, "std": (1,) * _CHANNELS, "scale": 1}
    for name, options in named:
        values.update(_READERS[name](options))
        if options:
            raise _UnfitError(f"{name} has an option {next(iter(options))!r}, which isn't known here")
    if values["resize_size"]:
        size = values.pop("crop_size", values["resize_size"])
        if size not in (values["resize_size"], values["resize_size"][0]):  # type: ignore[index]
            raise _UnfitError("CropImage after ResizeImage.size must have the same size")
    elif "crop_size" not in values:
        raise _UnfitError("CropImage is missing: after ResizeImage.resize_short, images differ in shape")
    return values


def _operation(entry: object) -> tuple[str, _Options]:
    """Name and options of one entry of transform_ops."""
    if isinstance(entry, str):
        entry = {entry: None}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise _UnfitError(f"transform_ops holds {entry!r:.80}; it takes one operation an entry")
    [(name, options)] = entry.items()
    if name not in _READERS:
        raise _UnfitError(f"transform_ops has an operation {name!r}, which isn't known here")
    if options is not None and not isinstance(options, Mapping):
        raise _UnfitError(f"{name} is {options!r:.80}; it takes an object")
    return name, dict(options or {})


def _check_order(names: list[str]) -> None:
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise _UnfitError(f"transform_ops has no {missing[0]}")
    if names not in [[name for name in order if name in names] for order in _ORDERS]:
        wanted = ", ".join(_ORDERS[0])
        raise _UnfitError(f"transform_ops has {', '.join(names)}; it takes {wanted}, each once")


def _take(options: _Options, operation: str, **allowed: tuple[object, ...]) -> None:
    """Remove options that change nothing; refuse other values of theirs."""
    for name, values in allowed.items():
        value = options.pop(name, values[0])
        if value not in values:
            raise _UnfitError(f"{operation}.{name} is {value!r:.80}; only {values[0]!r} is known here")


def _read_decode(options: _Options) -> _Values:
    _take(options, "DecodeImage", to_rgb=(True,), to_np=(False,), channel_first=(False, None))
    _take(options, "DecodeImage", backend=("cv2",))
    return {}


def _read_resize(options: _Options) -> _Values:
    _take(options, "ResizeImage", return_numpy=(True, None))
    short, size = options.pop("resize_short", None), options.pop("size", None)
    if (short is None) == (size is None):
        raise _UnfitError("ResizeImage takes either resize_short or size")
    sizes: _Values = {"resize_short": short} if size is None else {"resize_size": _pair(size)}
    interpolation, backend = options.pop("interpolation", None), options.pop("backend", None)
    return {**sizes, "interpolation": interpolation or "bilinear", "resize_backend": backend or "cv2"}


def _read_crop(options: _Options) -> _Values:
    size = options.pop("size", None)
    pair = _pair(size)
    return {"crop_size": size if pair[:1] * 2 != pair else pair[0]}


def _pair(size: object) -> tuple[object, ...]:
    """Width and height; one number stands for both."""
    return tuple(size) if isinstance(size, list) else (size, size)


def _read_normalize(options: _Options) -> _Values:
    _take(options, "NormalizeImage", order=("", "chw", "hwc", None), output_fp16=(False, None))
    _take(options, "NormalizeImage", channel_num=(_CHANNELS, None))
    found = {name: options.pop(name, None) for name in ("mean", "std", "scale")}
    scale = found["scale"]
    values: _Values = {"scale": Settings.scale if scale is None else _fraction(scale)}
    for name, default in (("mean", Settings.mean), ("std", Settings.std)):
        value = found[name]
        values[name] = default if value is None else tuple(value) if isinstance(value, list) else value
    return values


def _fraction(scale: object) -> object:
    """PaddleClas' own files have the text "1.0/255.0"; anything unfit is left to the settings' check."""
    if not isinstance(scale, str):
        return scale
    dividend, _, divisor = scale.partition("/")
    try:
        return float(dividend) / float(divisor or 1)
    except (ValueError, ZeroDivisionError):
        return scale


def _read_to_chw(_: _Options) -> _Values:
    return {}


def _read_keep_keys(options: _Options) -> _Values:
    keys = options.pop("keep_keys", ["image"])
    if keys not in (["image"], "image"):
        raise _UnfitError(f"KeepKeys.keep_keys is {keys!r:.80}; only 'image' is known here")
    return {}


_READERS: Final[Mapping[str, Callable[[_Options], _Values]]] = {
    "DecodeImage": _read_decode,
    "ResizeImage": _read_resize,
    "CropImage": _read_crop,
    "NormalizeImage": _read_normalize,
    "ToCHWImage": _read_to_chw,
    "KeepKeys": _read_keep_keys,
}


_OUTPUTS: Final = {
    "Topk": ("topk", "class_id_map_file"),
    "ThreshOutput": ("threshold", "label_0", "label_1"),
    "MultiLabelThreshOutput": ("threshold", "class_id_map_file"),
}
"""What PostProcess may name, with those of its options that are settings."""


def _read_postprocess(section: Mapping[str, Any]) -> tuple[_Values, dict[int, str]]:
    """The settings and the labels that PostProcess holds; what main_indicator doesn't name isn't used."""
    outputs = {name: options for name, options in section.items() if name != "main_indicator"}
    name = section.get("main_indicator") or (next(iter(outputs)) if len(outputs) == 1 else None)
    if name is None:
        if outputs:
            raise _UnfitError(f"PostProcess has {', '.join(outputs)}; main_indicator must name one of them")
        return {}, {}
    if name not in _OUTPUTS:
        raise _UnfitError(f"PostProcess has {name!r}, which isn't known here")
    options = outputs.get(name) or {}
    if not isinstance(options, Mapping):
        raise _UnfitError(f"{name} is {options!r:.80}; it takes an object")
    options = dict(options)
    _take(options, name, delimiter=(None, " "))
    values = {key: options.pop(key) for key in _OUTPUTS[name] if key in options}
    for key in ("label_0", "label_1"):
        if type(values.get(key)) is int:
            values[key] = str(values[key])
    labels = {} if name == "ThreshOutput" else _labels(options.pop("label_list", None))
    if options:
        raise _UnfitError(f"{name} has an option {next(iter(options))!r}, which isn't known here")
    return {"main_indicator": name, **values}, labels


def _labels(names: object) -> dict[int, str]:
    if names is None:
        return {}
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise _UnfitError("label_list takes a list of names")
    return {number: str(name) for number, name in enumerate(names)}
