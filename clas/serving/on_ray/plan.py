"""What the configuration of a deployment asks for."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from ...engine.devices import available_cores
from ...errors import SettingsError
from ...fields import refuse_unknown
from ...settings import SETTING_NAMES
from ..configuration import check_name, read_modules
from ..launch import SEVERAL_OPTIONS, STANDALONE_OPTIONS, Launch, plan_in_process
from ..options import NAMES, load_options
from .cores import reserved_cores

_OPTIONS: Final = [name for name in NAMES if name not in (*STANDALONE_OPTIONS, *SEVERAL_OPTIONS)]


def read_arguments(args: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Read the arguments of a model's application.

    Args:
        args: As config.json: `modules_info` with one model, and server options.

    Returns:
        The model's name, and what is given to it: names of settings and of server options with values.

    Raises:
        SettingsError: A name is unknown, or there isn't exactly one model.
    """
    options = dict(args)
    modules = read_modules(options.pop("modules_info", {}))
    if len(modules) != 1:
        named = ", ".join(modules) or "nothing"
        raise SettingsError(f"modules_info in args names {named}; each model has an application of its own")
    refuse_unknown(options, ["use_gpu", *_OPTIONS], "args")
    [(name, settings)] = modules.items()
    refuse_unknown(settings, SETTING_NAMES, f"modules_info.{name}.init_args")
    return name, {**options, **settings}


def plan_model(name: str, values: Mapping[str, Any]) -> Launch:
    """Plan a service on the cores that Ray has reserved for this replica, and their share of the memory.

    Args:
        name: See plan_in_process.
        values: Names of settings and of server options.

    Raises:
        StartupError: As plan_in_process.
    """
    launch = plan_in_process(values, "user_config", name)
    if launch.is_on_gpu:
        return launch
    cores = reserved_cores()
    return dataclasses.replace(launch, cores=cores, memory_part=cores / available_cores())


def plan_overview(user_config: Mapping[str, Any]) -> tuple[list[str], Launch]:
    """Plan a service without a model of its own.

    Args:
        user_config: The names of the `models`, and server options.

    Returns:
        The names, and the service.

    Raises:
        SettingsError: A name is unknown, or a value is invalid.
    """
    options = dict(user_config)
    names = options.pop("models", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"models is {names!r:.80}; it takes a list of names")
    for name in names:
        check_name(name, "models")
    refuse_unknown(options, _OPTIONS, "user_config")
    return names, Launch(options=load_options(options), models={})
