"""Builds a launch plan from flags and config.json."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..commandline.flags import SETTING_FLAGS
from ..engine.devices import available_cores, available_memory, visible_devices
from ..errors import ModelNotFoundError, NotFoundError, SettingsError
from ..fields import refuse_unknown
from ..protocol import MODULE_NAME
from ..settings import SETTING_NAMES, Settings, load_settings
from .batching.wide_member import threads_of_members
from .configuration import HUB_FLAGS, read_configuration
from .models.plan import ModelPlan
from .models.repository import Repository
from .options import NAMES, ServerOptions, load_options

_LOGGER: Final = logging.getLogger("clas_system")
STANDALONE_OPTIONS: Final = (
    *("model_control", "admin_token_file", "watch"),
    *("host", "port", "use_multiprocess", "workers", "gpu", "max_requests", "graceful_timeout_s"),
    *("keep_alive_s", "forwarded_allow_ips", "tls_cert_file", "tls_key_file"),
)
"""Server options that a process doesn't take which somebody else starts and configures."""
SEVERAL_OPTIONS: Final = ("model_repository", "max_loaded_models")
"""Server options that a process of one model doesn't take."""
MOST_PREDICTORS: Final = 4
"""The most model processes by default."""
_PREDICTOR_BYTES: Final = 512 * 2**20
"""Estimate of one model process; docs/en/operations.md has what was measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """What is to be started.

    Attributes:
        options: Those of the server.
        models: Name -> settings of the models that are there from the start.
        overrides: The settings that were given for all models.
        devices: Numbers of the GPUs; empty for the CPU.
        num_workers: The number of worker processes; 0 for a single process without a supervisor.
        cores: CPU cores of each process.
        memory_part: Which part of the machine's memory is for each process.
    """

    options: ServerOptions
    models: Mapping[str, Settings]
    overrides: Mapping[str, object] = dataclasses.field(default_factory=dict)
    devices: tuple[str, ...] = ()
    num_workers: int = 0
    cores: int = dataclasses.field(default_factory=available_cores)
    memory_part: float = 1

    def plan(self, settings: Settings) -> ModelPlan:
        """Return how a process loads a model of these settings, beside the others."""
        most = self.options.max_loaded_models or len(self.models)
        threads = share_cores(
            self.options,
            self.cores,
            settings.cpu_num_threads,
            is_single=not self.num_workers and not settings.use_gpu,
            part=self.memory_part / max(1, min(most, len(self.models))),
        )
        if self.cores < available_cores() and not settings.use_gpu and not settings.cpu_num_threads:
            settings = dataclasses.replace(settings, cpu_num_threads=self.cores)
        return ModelPlan(settings, threads)

    def plan_of(self, name: str) -> ModelPlan:
        """Return how a process loads a model: a configured one, or one of the repository as it is now.

        Raises:
            NotFoundError: There is none of this name.
            SettingsError: A setting is invalid.
        """
        settings, repository = self.models.get(name), self.repository
        named = Path(self.options.model_repository) / name
        if settings and (repository is None or settings != _settings_in(named, self.overrides)):
            return self.plan(settings)
        if repository is None:
            raise NotFoundError(f"there is no model {name[:80]!r}")
        return self.plan(_settings_in(repository.folder(name), self.overrides))

    @property
    def is_on_gpu(self) -> bool:
        """Whether a model runs on a GPU."""
        return _is_on_gpu(self.models)

    @property
    def repository(self) -> Repository | None:
        """Where further models come from; None if there is no such folder."""
        directory = self.options.model_repository
        return Repository(Path(directory)) if directory else None


def plan_launch(flags: Mapping[str, Any]) -> Launch:
    """Merge flags and the configuration file; see `read_configuration`.

    Args:
        flags: Names with values: `config` or `modules` (neither, and no models: the default model, as with
            `-m clas_system`), `model`, server options and settings.

    Raises:
        StartupError: A name is unknown, a value is invalid, or two of them don't go together.
    """
    flags = {name: value for name, value in flags.items() if value is not None}
    given, modules = read_configuration(flags)
    if "config" in flags:
        flags = {name: value for name, value in flags.items() if name not in HUB_FLAGS}
    options = load_options({name: given[name] for name in NAMES if name in given})
    overrides = {name: flags[name] for name in SETTING_FLAGS if name in flags}
    use_gpu = given.get("use_gpu", "gpu" in flags)
    models = {name: _settings_of({**overrides, **module}, use_gpu) for name, module in modules.items()}
    if use_gpu:
        overrides["use_gpu"] = True
    if overrides.get("model_name") and (len(models) > 1 or options.model_repository):
        raise SettingsError("model_name is given for several models: set it in the init_args of each")
    if options.model_repository:
        models = _with_repository(models, Path(options.model_repository), overrides, options)
    is_on_gpu = _is_on_gpu(models)
    devices = tuple(visible_devices(options.gpu or None)) if is_on_gpu else ()
    if flags.get("workers") and devices:
        _LOGGER.warning("--workers is ignored: with use_gpu there is one for each GPU")
    elif flags.get("workers"):  # in a file, PaddleHub's own is beside use_multiprocess: false
        options = dataclasses.replace(options, use_multiprocess=True)
    num_workers = options.num_workers(len(devices))
    _check_processes(options, num_workers, is_on_gpu=is_on_gpu)
    return Launch(
        options=options,
        models=models,
        overrides=overrides,
        devices=devices,
        num_workers=num_workers,
        cores=max(1, available_cores() // max(1, num_workers)),
    )


def plan_in_process(values: Mapping[str, Any], where: str, name: str = "") -> Launch:
    """Plan for a process that somebody else starts: without a port, and without workers.

    Args:
        values: Names of settings and of server options.
        where: Where the names are from, for messages.
        name: That of its only model; empty for the default model, or those of model_repository.

    Raises:
        StartupError: As plan_launch.
    """
    elsewhere = (*STANDALONE_OPTIONS, *(SEVERAL_OPTIONS if name else ()))
    refuse_unknown(values, [known for known in (*SETTING_NAMES, *NAMES) if known not in elsewhere], where)
    named = {}
    if name and name != MODULE_NAME:
        if not values.get("inference_model_dir"):
            raise SettingsError(f"the model {name} has no inference_model_dir: it takes the model's folder")
        named = {"model": [f"{name}={values['inference_model_dir']}"]}
    launch = plan_launch({**values, **named})
    # One process, whatever GPUs there are.
    return dataclasses.replace(launch, num_workers=0, cores=available_cores())


def share_cores(
    options: ServerOptions, cores: int, threads: int, *, is_single: bool, part: float = 1
) -> tuple[int, ...]:
    """Return the CPU threads of each predictor of a process; see `Pool`.

    Args:
        options: Read for predictors.
        cores: The cores that the process may use.
        threads: cpu_num_threads; 0 if it isn't set.
        is_single: Whether this is the only process, on the CPU.
        part: Which part of the machine's memory is for it; half of that is for predictors.
    """
    room = int(available_memory() * part) // 2 // _PREDICTOR_BYTES
    count = options.predictors
    if not count:
        count = max(1, min(cores, MOST_PREDICTORS, room)) if is_single and not threads else 1
    if count == 1:
        return (0,)
    if threads:
        return (threads,) * count
    return threads_of_members(cores, count, with_wide=bool(options.predictors) or room > count)


def _check_processes(options: ServerOptions, num_workers: int, *, is_on_gpu: bool) -> None:
    if options.max_requests and not num_workers:
        raise SettingsError("max_requests replaces workers: it takes use_multiprocess, or several GPUs")
    if is_on_gpu and options.predictors > 1:
        raise SettingsError("predictors is for the CPU: a GPU has one for each process")


def _is_on_gpu(models: Mapping[str, Settings]) -> bool:
    return any(settings.use_gpu for settings in models.values())


def _settings_of(init_args: Mapping[str, Any], use_gpu: object) -> Settings:
    """Return the settings of a module; request > predict_args > init_args > flags > params.py."""
    if not isinstance(use_gpu, bool):
        raise SettingsError(f"use_gpu is {use_gpu!r}; it takes true or false")
    if use_gpu and init_args.get("use_gpu") is False:
        raise SettingsError("use_gpu is true at the top level, but false in init_args; say it once")
    return load_settings({**init_args, "use_gpu": True} if use_gpu else init_args)


def _with_repository(
    models: Mapping[str, Settings], directory: Path, overrides: Mapping[str, object], options: ServerOptions
) -> dict[str, Settings]:
    """Add the models of the repository to those that were named, which have the right to their names."""
    found = Repository(directory).folders()
    if not (models or found or options.model_control or options.watch):
        raise ModelNotFoundError(f"model_repository {directory} has no folder with a model")
    for name in models.keys() & found.keys():
        _LOGGER.warning("the model %r is configured: its folder in model_repository is passed over", name)
    others = {name: folder for name, folder in found.items() if name not in models}
    return {**models, **{name: _settings_in(folder, overrides) for name, folder in others.items()}}


def _settings_in(directory: Path, overrides: Mapping[str, object]) -> Settings:
    return load_settings({**overrides, "inference_model_dir": str(directory)})
