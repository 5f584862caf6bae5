"""Reads config.json and flags: which models are served, under which names, with what is given to each."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import SettingsError
from ..fields import refuse_unknown
from ..protocol import MODULE_NAME, VERSION
from .options import NAMES

_LOGGER: Final = logging.getLogger("clas_system")
HUB_FLAGS: Final = ("modules", "port", "use_multiprocess", "workers", "use_gpu", "gpu")
"""Flags that PaddleHub has, too: a file takes their place."""
_PREDICT_ARGS: Final = ("top_k",)
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIRECTORY: Final = "inference_model_dir"


def read_configuration(flags: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, dict[str, Any]]]:
    """Merge flags and the configuration file.

    The file takes precedence: flags that `hub serving` also has are ignored, and the others fill in keys that
    it lacks.

    Args:
        flags: Names with values, none of them None: `config` or `modules`, `model`, server options and
            settings.

    Returns:
        Names of server options, and `use_gpu`, with values; and for each model its name with the settings
        that are its own.

    Raises:
        SettingsError: A name is unknown, or a value is invalid.
    """
    given = dict(flags)
    modules: dict[str, dict[str, Any]] = {}
    if "config" in given:
        path = given.pop("config")
        content = read_file(Path(path))
        for name in [name for name in given if name in HUB_FLAGS]:
            _LOGGER.warning("--%s is ignored: %s wins", name, path)
            del given[name]
        modules = read_modules(content.pop("modules_info", {}))
        given |= content
        if not (modules or given.get("model") or given.get("model_repository")):
            raise SettingsError(f"modules_info names nothing; it takes {MODULE_NAME!r}, or names of your own")
    else:
        is_implied = not (given.get("model") or given.get("model_repository"))
        for text in given.pop("modules", [MODULE_NAME] if is_implied else []):
            modules[_module_of(text)] = {}
    for name, directory in _read_model_flags(given.pop("model", [])).items():
        if name in modules:
            _LOGGER.warning("--model %s is ignored: the configuration file has a model of this name", name)
        modules.setdefault(name, {_DIRECTORY: directory})
    return given, modules


def check_name(name: str, where: str) -> None:
    """Check the name of a model, which becomes a part of its address.

    Raises:
        SettingsError: It is invalid.
    """
    if not is_name(name):
        raise SettingsError(
            f"{where} names {name!r:.80}; the name of a model has 1 to 64 letters, digits, _, . and -"
        )


def is_name(name: str) -> bool:
    """Whether a model may have this name."""
    return bool(_MODEL_NAME.fullmatch(name)) and name not in (".", "..")


def read_file(path: Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        SettingsError: It can't be read, or has an unknown name, or none of a model.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(f"the configuration file {path} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise SettingsError(f"the configuration file {path} is not valid JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise SettingsError(f"the configuration file {path} is not an object")
    refuse_unknown(content, ("modules_info", "use_gpu", *NAMES), str(path))
    if "modules_info" not in content and not content.get("model_repository"):
        raise SettingsError(f"the configuration file {path} has no modules_info")
    return content


def read_modules(modules_info: object) -> dict[str, dict[str, Any]]:
    """Return for each module of a configuration its name with the settings that are its own.

    Raises:
        SettingsError: A name is unknown, or a value is invalid.
    """
    info = _object(modules_info, "modules_info")
    return {name: _read_module(name, module) for name, module in info.items()}


def _read_module(name: str, value: object) -> dict[str, Any]:
    check_name(name, "modules_info")
    where = f"modules_info.{name}"
    module = _object(value, where)
    refuse_unknown(module, ("init_args", "predict_args"), where)
    init_args = dict(_object(module.get("init_args", {}), "init_args"))
    predict_args = _object(module.get("predict_args", {}), "predict_args")
    _check_version(init_args.pop("version", None) or VERSION)
    refuse_unknown(predict_args, _PREDICT_ARGS, "predict_args")
    if predict_args.get("top_k") is not None:
        init_args["topk"] = predict_args["top_k"]
    if name != MODULE_NAME and not init_args.get(_DIRECTORY):
        raise SettingsError(f"{where} has no init_args.{_DIRECTORY}: it takes the folder of its model")
    return init_args


def _module_of(text: str) -> str:
    """The name of the module, which may have a version: `clas_system==1.0.0`."""
    name, _, version = text.partition("==")
    if name != MODULE_NAME:
        raise SettingsError(
            f"-m names {text}; it takes {MODULE_NAME}, and other models are named by --model {name}=FOLDER"
        )
    _check_version(version or VERSION)
    return name


def _read_model_flags(texts: Sequence[str]) -> dict[str, str]:
    models: dict[str, str] = {}
    for text in texts:
        name, separator, directory = text.partition("=")
        if not separator or not directory:
            raise SettingsError(f"--model is {text!r:.80}; it takes NAME=FOLDER")
        check_name(name, "--model")
        if name in models:
            raise SettingsError(f"--model names {name!r} twice")
        models[name] = directory
    return models


def _check_version(version: object) -> None:
    if version != VERSION:
        raise SettingsError(f"version is {version!r}; clas_system here has {VERSION!r}")


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{name} is {value!r:.80}; it takes an object")
    return value
