"""The inference.yml that PaddleClas and PaddleX write beside an exported model.

It says what was done to the images in training, and what is to be made of the scores. What stands in it beats
params.py, which knows nothing of this model; what is given for one start (init_args, a flag) beats both.
Nothing in it is passed over in silence: an operation, or an option of one, that isn't known ends the start.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import ModelConfigError, SettingsError
from ..settings import Settings
from .transform_ops import UnfitError, Values, read_operations, take

FILE_NAME: Final = "inference.yml"

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
        values = read_operations(_section(content, "PreProcess"))
        post_values, labels = _read_postprocess(_section(content, "PostProcess"))
    except UnfitError as exc:
        raise ModelConfigError(f"{path}: {exc}") from exc
    return ModelConfig(path, {**values, **post_values}, labels)


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
        raise UnfitError(f"{name} is {section!r:.80}; it takes an object")
    return section or {}


_OUTPUTS: Final = {
    "Topk": ("topk", "class_id_map_file"),
    "ThreshOutput": ("threshold", "label_0", "label_1"),
    "MultiLabelThreshOutput": ("threshold", "class_id_map_file"),
}
"""What PostProcess may name, with those of its options that are settings."""


def _read_postprocess(section: Mapping[str, Any]) -> tuple[Values, dict[int, str]]:
    """The settings and the labels that PostProcess holds; what main_indicator doesn't name isn't used."""
    outputs = {name: options for name, options in section.items() if name != "main_indicator"}
    name = section.get("main_indicator") or (next(iter(outputs)) if len(outputs) == 1 else None)
    if name is None:
        if outputs:
            found = ", ".join(map(str, outputs))
            raise UnfitError(f"PostProcess has {found}; main_indicator must name one of them")
        return {}, {}
    if not isinstance(name, str) or name not in _OUTPUTS:
        raise UnfitError(f"PostProcess has {name!r}, which isn't known here")
    options = outputs.get(name) or {}
    if not isinstance(options, Mapping):
        raise UnfitError(f"{name} is {options!r:.80}; it takes an object")
    options = dict(options)
    take(options, name, delimiter=(None, " "))
    values = {key: options.pop(key) for key in _OUTPUTS[name] if key in options}
    for key in ("label_0", "label_1"):
        if type(values.get(key)) is int:
            values[key] = str(values[key])
    labels = {} if name == "ThreshOutput" else _labels(options.pop("label_list", None))
    if options:
        raise UnfitError(f"{name} has an option {next(iter(options))!r}, which isn't known here")
    return {"main_indicator": name, **values}, labels


def _labels(names: object) -> dict[int, str]:
    if names is None:
        return {}
    if not isinstance(names, list):
        raise UnfitError("label_list takes a list of names")
    for name in names:
        if type(name) not in (str, int):  # YAML takes no and yes, too, for something else than a text
            raise UnfitError(f"label_list has {name!r:.80}, which is no text: put it in quotation marks")
    return {number: str(name) for number, name in enumerate(names)}
