"""Builds a launch plan from flags and config.json."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..engine.devices import available_cores, available_memory, visible_devices
from ..errors import SettingsError
from ..fields import refuse_unknown
from ..protocol import MODULE_NAME, VERSION
from ..settings import SETTING_NAMES, Settings, load_settings
from .batching.wide_member import threads_of_members
from .options import NAMES, ServerOptions, load_options

_LOGGER: Final = logging.getLogger("clas_system")
_HUB_FLAGS: Final = ("modules", "port", "use_multiprocess", "workers", "use_gpu", "gpu")
_PREDICT_ARGS: Final = ("top_k",)
_OWN_PROCESS: Final = (
    "host",
    "port",
    "use_multiprocess",
    "workers",
    "gpu",
    "max_requests",
    "graceful_timeout_s",
    "keep_alive_s",
    "forwarded_allow_ips",
    "tls_cert_file",
    "tls_key_file",
)
SETTING_FLAGS: Final = tuple(name for name in SETTING_NAMES if name != "use_gpu")
"""The keys of params.py that are flags, too; use_gpu is one of PaddleHub's own."""
MOST_PREDICTORS: Final = 4
"""The most model processes by default."""
_PREDICTOR_BYTES: Final = 512 * 2**20
"""Estimate of one model process; docs/en/operations.md has what was measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """What is to be started.

    Attributes:
        options: Those of the server.
        settings: Those of the model in each process.
        devices: Numbers of the GPUs; empty for the CPU.
        num_workers: The number of worker processes; 0 for a single process without a supervisor.
        predictor_threads: CPU threads of each predictor of a process; see `Pool`.
    """

    options: ServerOptions
    settings: Settings
    devices: tuple[str, ...] = ()
    num_workers: int = 0
    predictor_threads: tuple[int, ...] = (0,)


def plan_launch(flags: Mapping[str, Any]) -> Launch:
    """Merge flags and the configuration file.

    The file takes precedence: flags that `hub serving` also has are ignored, and the others fill in keys that
    it lacks.

    Args:
        flags: Names with values: `config` or `modules` (neither: the default model, as with `-m
            clas_system`), server options and settings.

    Raises:
        StartupError: A name is unknown, a value is invalid, or two of them don't go together.
    """
    flags = {name: value for name, value in flags.items() if value is not None}
    if "config" in flags:
        content = _read_file(Path(flags["config"]))
        for name in [name for name in flags if name in _HUB_FLAGS]:
            _LOGGER.warning("--%s is ignored: %s wins", name, flags["config"])
            del flags[name]
    else:
        name = _module_of(flags.get("modules") or [MODULE_NAME])
        content = {"modules_info": {name: {"init_args": {}, "predict_args": {}}}}
    given = {**flags, **content}
    options = load_options({name: given[name] for name in NAMES if name in given})
    leaves = {name: flags[name] for name in SETTING_FLAGS if name in flags}
    settings = _read_settings(given, leaves, is_gpu_flag="gpu" in flags)
    devices = tuple(visible_devices(options.gpu or None)) if settings.use_gpu else ()
    if flags.get("workers") and devices:
        _LOGGER.warning("--workers is ignored: with use_gpu there is one for each GPU")
    elif flags.get("workers"):  # in a file, PaddleHub's own is beside use_multiprocess: false
        options = dataclasses.replace(options, use_multiprocess=True)
    num_workers = options.num_workers(len(devices))
    _check_processes(options, settings, num_workers)
    share = max(1, available_cores() // max(1, num_workers))
    is_single = not num_workers and not settings.use_gpu
    threads = share_cores(options, share, settings.cpu_num_threads, is_single=is_single)
    if num_workers and not settings.use_gpu and not settings.cpu_num_threads:
        settings = dataclasses.replace(settings, cpu_num_threads=share)
    return Launch(
        options=options,
        settings=settings,
        devices=devices,
        num_workers=num_workers,
        predictor_threads=threads,
    )


def plan_in_process(values: Mapping[str, Any], where: str) -> Launch:
    """Plan for a process that somebody else starts: without a port, and without workers.

    Args:
        values: Names of settings and of server options.
        where: Where the names are from, for messages.

    Raises:
        StartupError: As plan_launch.
    """
    refuse_unknown(values, [name for name in (*SETTING_NAMES, *NAMES) if name not in _OWN_PROCESS], where)
    launch = plan_launch(values)
    return dataclasses.replace(launch, num_workers=0)  # one process, whatever GPUs there are


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


def _check_processes(options: ServerOptions, settings: Settings, num_workers: int) -> None:
    if options.max_requests and not num_workers:
        raise SettingsError("max_requests replaces workers: it takes use_multiprocess, or several GPUs")
    if settings.use_gpu and options.predictors > 1:
        raise SettingsError("predictors is for the CPU: a GPU has one for each process")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(f"the configuration file {path} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise SettingsError(f"the configuration file {path} is not valid JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise SettingsError(f"the configuration file {path} is not an object")
    refuse_unknown(content, ("modules_info", "use_gpu", *NAMES), str(path))
    if "modules_info" not in content:
        raise SettingsError(f"the configuration file {path} has no modules_info")
    return content


def _module_of(modules: list[str]) -> str:
    """The only module, with an optional version: `clas_system==1.0.0`."""
    name, _, version = modules[0].partition("==")
    if len(modules) > 1 or name != MODULE_NAME:
        raise SettingsError(f"-m names {' '.join(modules)}; this server has clas_system only")
    _check_version(version or VERSION)
    return name


def _check_version(version: object) -> None:
    if version != VERSION:
        raise SettingsError(f"version is {version!r}; clas_system here has {VERSION!r}")


def _read_settings(given: Mapping[str, Any], leaves: Mapping[str, Any], *, is_gpu_flag: bool) -> Settings:
    """Read modules_info; request > predict_args > init_args > flags > params.py."""
    info = _object(given["modules_info"], "modules_info")
    if list(info) != [MODULE_NAME]:
        raise SettingsError(
            f"modules_info names {', '.join(map(repr, info)) or 'nothing'}; it takes {MODULE_NAME!r}"
        )
    module = _object(info[MODULE_NAME], f"modules_info.{MODULE_NAME}")
    refuse_unknown(module, ("init_args", "predict_args"), f"modules_info.{MODULE_NAME}")
    init_args = {**leaves, **_object(module.get("init_args", {}), "init_args")}
    predict_args = _object(module.get("predict_args", {}), "predict_args")
    _check_version(init_args.pop("version", None) or VERSION)
    refuse_unknown(predict_args, _PREDICT_ARGS, "predict_args")
    if predict_args.get("top_k") is not None:
        init_args["topk"] = predict_args["top_k"]
    use_gpu = given.get("use_gpu", is_gpu_flag)
    if not isinstance(use_gpu, bool):
        raise SettingsError(f"use_gpu is {use_gpu!r}; it takes true or false")
    if use_gpu and init_args.get("use_gpu") is False:
        raise SettingsError("use_gpu is true at the top level, but false in init_args; say it once")
    if use_gpu:
        init_args["use_gpu"] = True
    return load_settings(init_args)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{name} is {value!r:.80}; it takes an object")
    return value
