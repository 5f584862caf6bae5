"""Reads the inference.yml that PaddleClas and PaddleX write beside an exported model; see config_files.

It describes the preprocessing that the model was trained with, and the postprocessing. Its values take
precedence over params.py, which doesn't know the model; init_args and flags take precedence over both.
Nothing is ignored silently: an unsupported operation or option is an error.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import ModelConfigError, SettingsError
from ..image.operation_settings import replaced
from ..settings import PREPROCESS_NAMES, Settings
from .config_files import find_config
from .postprocess import read_postprocess
from .transform_ops import InvalidEntryError, Values, read_preprocess

_SIZES: Final = ("resize_short", "crop_size")
_DEVICE_KEYS: Final = (
    *("use_gpu", "use_xpu", "use_npu", "use_mlu", "use_fp16", "use_tensorrt", "gpu_mem", "ir_optim"),
    *("enable_mkldnn", "cpu_num_threads"),
)
"""Keys of Global that say how the model ran elsewhere."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The content of an inference.yml.

    Attributes:
        path: The file.
        values: Settings by name, not yet validated.
        labels: Class id -> name, if the file itself has them; empty otherwise.
        notes: What is done although the file doesn't say it.
        passed_over: Keys of its section Global that aren't used.
    """

    path: Path
    values: Mapping[str, object]
    labels: Mapping[int, str]
    notes: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    @property
    def has_sizes(self) -> bool:
        """Whether the file says the size of images."""
        return not self.values.keys().isdisjoint(("resize_size", "transform_ops"))

    def apply(self, settings: Settings) -> tuple[Settings, tuple[str, ...]]:
        """Update settings with the values of the file.

        Args:
            settings: Values in them that were given for this start are kept.

        Returns:
            The updated settings, and the names of the file's values that weren't used because of that.

        Raises:
            ModelConfigError: A value is invalid, or conflicts with another one.
        """
        kept = {name for name in self.values if name in settings.overridden}
        if settings.overridden.intersection(
            _SIZES
        ):  # a size given for this start selects that way of resizing
            kept |= self.values.keys() & {"resize_size"}
        used = {name: value for name, value in self.values.items() if name not in kept}
        given = [name for name in PREPROCESS_NAMES if name in settings.overridden]
        try:
            updated = dataclasses.replace(settings, **used)  # type: ignore[arg-type]
            if updated.transform_ops and given:
                kept.update(given)
                changed = replaced(updated.transform_ops, updated, given)
                updated = dataclasses.replace(updated, transform_ops=changed)
            return updated, tuple(sorted(kept))
        except SettingsError as exc:
            raise ModelConfigError(f"{self.path} is invalid: {exc}") from exc


def read_inference_yml(
    directory: Path, main_indicator: str | None = None, key_file: str = ""
) -> ModelConfig | None:
    """Read the inference.yml in the folder of a model, or what stands for it; see `find_config`.

    Args:
        directory: The folder.
        main_indicator: As `read_postprocess`.
        key_file: The file with the key of an encrypted model; empty if it isn't encrypted.

    Returns:
        Its content, or None if there is no such file.

    Raises:
        ModelConfigError: It can't be read, or has an invalid or unsupported entry; the message names the file
            and the entry.
        EncryptedModelError: It is encrypted, and can't be decrypted.
    """
    found = find_config(directory, key_file)
    if found is None:
        return None
    path, content = found
    try:
        values, notes = read_preprocess(_section(content, "PreProcess"))
        global_values, passed_over = _read_global(content)
        post_values, labels = read_postprocess(_section(content, "PostProcess"), main_indicator)
    except InvalidEntryError as exc:
        raise ModelConfigError(f"{path}: {exc}") from exc
    return ModelConfig(path, {**global_values, **values, **post_values}, labels, notes, passed_over)


def _read_global(content: Mapping[str, Any]) -> tuple[Values, tuple[str, ...]]:
    """Return what Global gives, and its keys that are passed over: those of a deployment configuration."""
    section = _section(content, "Global")
    size, name = section.get("batch_size"), section.get("model_name")
    # 1 is what every configuration says that nobody has changed.
    values: Values = {"max_batch_size": size} if type(size) is int and size > 1 else {}
    if isinstance(name, str | int | float):  # YAML makes numbers of some
        values["model_name"] = str(name)
    return values, tuple(name for name in _DEVICE_KEYS if name in section)


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = content.get(name)
    if section is not None and not isinstance(section, Mapping):
        raise InvalidEntryError(f"{name} is {section!r:.80}; it takes an object")
    return section or {}
