"""From a command line, or the config.json that `hub serving start -c` takes, to what is to be started."""

import argparse
import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..engine.paddle_config import available_cores, visible_devices
from ..errors import SettingsError
from ..protocol import VERSION
from ..settings import SETTING_NAMES, Settings, load_settings, refuse_unknown
from .options import NAMES, ServerOptions, load_options

_LOGGER: Final = logging.getLogger("clas_system")
_MODULE: Final = "clas_system"
_HUB_FLAGS: Final = ("modules", "port", "use_multiprocess", "workers", "use_gpu", "gpu")
_PREDICT_ARGS: Final = ("top_k",)
_OWN_PROCESS: Final = (
    *("host", "port", "use_multiprocess", "workers", "gpu", "max_requests", "graceful_timeout_s"),
    *("tls_cert_file", "tls_key_file"),
)
SETTING_FLAGS: Final = tuple(name for name in SETTING_NAMES if name != "use_gpu")
"""The keys of params.py that are flags, too; use_gpu is one of hub's own."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be started.

    Attributes:
        options: Those of the server.
        settings: Those of the model in each process.
        devices: Numbers of the GPUs that are used; empty for the CPU.
        num_workers: How many worker processes; 0 for a single process without a supervisor.
        predictor_threads: CPU threads of each predictor in a process; see `Engine`.
    """

    options: ServerOptions
    settings: Settings
    devices: tuple[str, ...]
    num_workers: int
    predictor_threads: tuple[int, ...]


def make_plan(args: argparse.Namespace) -> Plan:
    """Read the file, if there is one, and the flags.

    The file wins: with it, the flags that `hub serving` has, too, are ignored, and the others stand in for
    what it doesn't say.

    Raises:
        StartupError: A name is unknown, a value unfit, or what is asked for doesn't go together.
    """
    flags = {name: value for name, value in vars(args).items() if value is not None}
    if args.config is not None:
        content = _read_file(Path(args.config))
        for name in [name for name in flags if name in _HUB_FLAGS]:
            _LOGGER.warning("--%s is ignored: %s wins", name, args.config)
            del flags[name]
    elif args.modules:
        content = {"modules_info": {_module_of(args.modules): {"init_args": {}, "predict_args": {}}}}
    else:
        raise SettingsError("start takes -c config.json or -m clas_system")
    given = {**flags, **content}
    options = load_options({name: given[name] for name in NAMES if name in given})
    leaves = {name: flags[name] for name in SETTING_FLAGS if name in flags}
    settings = _read_settings(given, leaves, by_flag="gpu" in flags)
    devices = tuple(visible_devices(options.gpu or None)) if settings.use_gpu else ()
    num_workers = options.num_workers(len(devices))
    if "workers" in flags and not options.use_multiprocess:
        _LOGGER.warning("--workers is ignored: it takes --use_multiprocess")
    if options.max_requests and not num_workers:
        raise SettingsError("max_requests replaces workers: it takes use_multiprocess, or several GPUs")
    if settings.use_gpu and options.predictors > 1:
        raise SettingsError("predictors is for the CPU: a GPU has one for each process")
    share = max(1, available_cores() // max(1, num_workers))
    is_single = not num_workers and not settings.use_gpu
    threads = options.predictor_threads(share, settings.cpu_num_threads, is_single=is_single)
    if num_workers and not settings.use_gpu and not settings.cpu_num_threads:
        settings = dataclasses.replace(settings, cpu_num_threads=share)
    return Plan(options, settings, devices, num_workers, threads)


def plan_of_names(values: Mapping[str, Any], where: str) -> Plan:
    """From names with values, as the flags have them, but for those that need a port or several processes.

    Args:
        values: Names of settings and of server options.
        where: What to call them in an error.

    Raises:
        StartupError: As make_plan.
    """
    refuse_unknown(values, [name for name in (*SETTING_NAMES, *NAMES) if name not in _OWN_PROCESS], where)
    use_gpu = values.get("use_gpu", False)
    flags = {name: value for name, value in values.items() if name != "use_gpu"}
    return make_plan(argparse.Namespace(config=None, modules=[_MODULE], use_gpu=use_gpu, **flags))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(f"the configuration file {path} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise SettingsError(f"the configuration file {path} is no JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise SettingsError(f"the configuration file {path} holds no object")
    refuse_unknown(content, ("modules_info", "use_gpu", *NAMES), str(path))
    if "modules_info" not in content:
        raise SettingsError(f"the configuration file {path} has no modules_info")
    return content


def _module_of(modules: list[str]) -> str:
    """The one module there is, with the version that may be asked for: `clas_system==1.0.0`."""
    name, _, version = modules[0].partition("==")
    if len(modules) > 1 or name != _MODULE:
        raise SettingsError(f"-m names {' '.join(modules)}; this server has clas_system only")
    _check_version(version or VERSION)
    return name


def _check_version(version: object) -> None:
    if version != VERSION:
        raise SettingsError(f"version is {version!r}; clas_system here has {VERSION!r}")


def _read_settings(given: Mapping[str, Any], leaves: Mapping[str, Any], *, by_flag: bool) -> Settings:
    """What modules_info says of the model: request > predict_args > init_args > flags > params.py."""
    info = _object(given["modules_info"], "modules_info")
    if list(info) != [_MODULE]:
        raise SettingsError(
            f"modules_info names {', '.join(map(repr, info)) or 'nothing'}; it takes {_MODULE!r}"
        )
    module = _object(info[_MODULE], f"modules_info.{_MODULE}")
    refuse_unknown(module, ("init_args", "predict_args"), f"modules_info.{_MODULE}")
    init_args = {**leaves, **_object(module.get("init_args", {}), "init_args")}
    predict_args = _object(module.get("predict_args", {}), "predict_args")
    _check_version(init_args.pop("version", None) or VERSION)
    refuse_unknown(predict_args, _PREDICT_ARGS, "predict_args")
    if predict_args.get("top_k") is not None:
        init_args["topk"] = predict_args["top_k"]
    use_gpu = given.get("use_gpu", by_flag)
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
