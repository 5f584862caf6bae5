"""An exported model: its files, with the settings and labels that belong to them."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from ..errors import LabelFileError
from ..image.operation_settings import operations_of
from ..image.operations import described, output_size
from ..result_settings import ATTRIBUTE_FORMS, FEATURE_FORMS
from ..settings import PREPROCESS_NAMES, Settings
from .config_files import FILE_NAME, config_paths
from .encryption import check_folder, read_file
from .files import MODULE_DIR, ModelFiles, find_label_file, find_model
from .fingerprint import Fingerprint, take_fingerprint
from .inference_yml import ModelConfig, read_inference_yml
from .labels import load_labels

_LOGGER: Final = logging.getLogger("clas_system")
_HOW_IT_RUNS: Final = (
    "how a model runs is set by --use_gpu, --gpu_mem, --precision, --use_tensorrt, --enable_mkldnn, "
    "--cpu_num_threads and --ir_optim, or in params.py or init_args"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """Everything known about a model before it is loaded.

    Attributes:
        programs: Program and weights, in each format that is there; see `find_model`.
        settings: The service's settings, updated with the values of the model's inference.yml.
        config: The content of inference.yml, or None without one.
        labels: Class id -> name; empty for a service without labels.
        label_file: The file with the labels; None if they aren't read from a file.
        has_built_in_labels: Whether nobody named that file: it is the default list of ImageNet's classes.
        label_error: Why there are no labels, if they were wanted and the model may not need them.
        fingerprint: Of the model's own files, inference.yml included and the label file not; also in `files`.
        warnings: What may make results wrong as far as the files tell.
    """

    programs: Sequence[ModelFiles]
    settings: Settings
    config: ModelConfig | None
    labels: Mapping[int, str]
    label_file: Path | None
    has_built_in_labels: bool
    fingerprint: Fingerprint
    warnings: tuple[str, ...] = ()
    label_error: LabelFileError | None = None

    @property
    def directory(self) -> Path:
        """The model's folder."""
        return self.programs[0].program.parent

    @property
    def name(self) -> str:
        """What the model is called: by the settings, its inference.yml, or else the name of its folder."""
        return self.settings.model_name or self.directory.name

    @property
    def preprocess(self) -> dict[str, object]:
        """The preprocessing settings by name, as JSON values; null where transform_ops are in their place."""
        if self.settings.transform_ops:
            nothing = dict.fromkeys(PREPROCESS_NAMES)
            return {**nothing, "transform_ops": described(self.settings.transform_ops)}
        values = {name: getattr(self.settings, name) for name in PREPROCESS_NAMES}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def read_exported_model(settings: Settings, module_dir: Path = MODULE_DIR) -> ExportedModel:
    """Find the model of the settings, read its inference.yml and labels, and log which files are used.

    Args:
        settings: The service's settings.
        module_dir: The folder with the model and the label file to use if those of the settings aren't found.

    Raises:
        ModelNotFoundError: There is no model.
        ModelLoadError: A file can't be read.
        ModelConfigError: The model's inference.yml is invalid.
        EncryptedModelError: The model is encrypted, and can't be decrypted, or the reverse.
        LabelFileError: The label file is missing or invalid.
    """
    _LOGGER.info("code: %s", module_dir)
    programs = find_model(settings, module_dir)
    directory = programs[0].program.parent
    paths = [path for files in programs for path in (files.program, files.weights)]
    fingerprint = take_fingerprint(tuple(dict.fromkeys((*paths, *config_paths(directory)))))
    configs = [path for path in config_paths(directory) if path.is_file()]
    check_folder(list(dict.fromkeys((*paths, *configs))), directory, settings.model_key_file)
    given = settings.main_indicator if "main_indicator" in settings.overridden else None
    config = read_inference_yml(directory, given, settings.model_key_file)
    kept: Sequence[str] = ()
    if config:
        settings, kept = config.apply(settings)
    read = partial(read_file, directory=directory, key_file=settings.model_key_file)
    labels: Mapping[int, str] = {}
    label_file: Path | None = None
    label_error: LabelFileError | None = None
    try:
        labels, label_file = _find_labels(settings, config, module_dir, read)
    except LabelFileError as exc:
        if settings.main_indicator != "ThreshOutput":
            raise
        label_error = exc  # two classes have label_0 and label_1; how many there are shows when it is loaded
    size = output_size(operations_of(settings)) if config and config.has_sizes else None
    model = ExportedModel(
        programs=[dataclasses.replace(files, fingerprint=fingerprint, image_size=size) for files in programs],
        settings=settings,
        config=config,
        labels=labels,
        label_file=label_file,
        has_built_in_labels=label_file is not None and _is_built_in(settings, config),
        fingerprint=fingerprint,
        warnings=config.notes if config else _assumptions(settings),
        label_error=label_error,
    )
    formats = ", ".join(files.format for files in programs)
    encrypted = ", encrypted" if settings.model_key_file else ""
    _LOGGER.info("model: %s, format: %s%s", model.directory, formats, encrypted)
    if config:
        _log_config(config, kept, model.preprocess)
    return model


def _find_labels(
    settings: Settings,
    config: ModelConfig | None,
    module_dir: Path,
    read: Callable[[Path], bytes],
) -> tuple[Mapping[int, str], Path | None]:
    """Return the labels and their file: the one given for this start, the model's, or that of params.py.

    Forms of results that aren't classes have none; attributes and two classes have names of their own.
    """
    if settings.main_indicator in ("groups", "ScoreOutput", *FEATURE_FORMS):
        return {}, None
    if settings.main_indicator in ("ThreshOutput", *ATTRIBUTE_FORMS) and _is_built_in(settings, config):
        return {}, None
    is_given = "class_id_map_file" in settings.overridden
    if config and config.labels and not is_given:
        return config.labels, config.path
    is_models = config is not None and "class_id_map_file" in config.values and not is_given
    label_file = find_label_file(settings, module_dir, config.path.parent if config and is_models else None)
    return load_labels(label_file, read) if label_file else {}, label_file


def _is_built_in(settings: Settings, config: ModelConfig | None) -> bool:
    """Whether the label file is the default one, which neither a user nor the model has named."""
    is_named = "class_id_map_file" in settings.overridden or (
        config is not None and bool(config.labels or "class_id_map_file" in config.values)
    )
    return not is_named and settings.class_id_map_file == Settings.class_id_map_file


def _assumptions(settings: Settings) -> tuple[str, ...]:
    """Say so if nobody has said how images are preprocessed, neither the model nor the settings."""
    is_said = not settings.overridden.isdisjoint(PREPROCESS_NAMES)
    if is_said or operations_of(settings) != operations_of(Settings()):
        return ()
    sizes = f"resize_short {settings.resize_short}, crop_size {settings.crop_size}"
    return (
        f"the model has no {FILE_NAME}: that images are preprocessed as for ImageNet ({sizes}) is assumed",
    )


def _log_config(config: ModelConfig, kept: Sequence[str], preprocess: Mapping[str, object]) -> None:
    used, name = ", ".join(name for name in config.values if name not in kept), config.path.name
    _LOGGER.info("%s: %s, in place of params.py: %s", name, config.path, used or "nothing")
    if kept:
        _LOGGER.info("init_args or a flag, in place of %s: %s", name, ", ".join(kept))
    if config.passed_over:
        passed_over = ", ".join(config.passed_over)
        _LOGGER.info("Global of %s is passed over (%s): %s", name, passed_over, _HOW_IT_RUNS)
    shown = [f"{name}: {value}" for name, value in preprocess.items() if value is not None]
    _LOGGER.info("preprocess: %s", ", ".join(shown))
