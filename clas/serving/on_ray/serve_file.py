"""Makes what `serve deploy` takes of a config.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import SettingsError
from ...protocol import PREDICTIONS_PATH
from ..configuration import read_file, read_modules
from ..launch import SEVERAL_OPTIONS, STANDALONE_OPTIONS
from ..models.repository import Repository
from ..options import NAMES, ServerOptions, load_options

_IMPORTS: Final = "clas.serving.ray_app"
_OVERVIEW: Final = "overview"
_KEPT: Final = ("host", "port")
"""Of the options that replicas don't take, those that Ray's proxies do."""


class ServeFile(NamedTuple):
    """What `serve deploy` takes, and what there is no place for in it.

    Attributes:
        content: The content of the file.
        left_out: Names of options of config.json in whose place Ray has something of its own.
    """

    content: dict[str, Any]
    left_out: list[str]


def make_serve_file(path: Path) -> ServeFile:
    """Make each model of a config.json an application, with an overview if there are several.

    Args:
        path: The config.json.

    Raises:
        SettingsError: It can't be read, or is invalid.
        ModelNotFoundError: Its model_repository can't be read.
    """
    given = read_file(path)
    modules = _modules(given)
    elsewhere = (*STANDALONE_OPTIONS, *SEVERAL_OPTIONS)
    options = {name: value for name, value in given.items() if name not in elsewhere}
    server_options = {name: value for name, value in options.items() if name in NAMES}  # all but use_gpu
    read = load_options(server_options)
    applications = [_model(name, module, options, read.root_path) for name, module in modules.items()]
    if len(modules) > 1:
        applications.insert(0, _overview(list(modules), server_options))
    applications[0]["route_prefix"] = read.root_path or "/"
    http: dict[str, Any] = {name: given[name] for name in _KEPT if name in given}
    content = {
        "proxy_location": "EveryNode",
        "http_options": {"port": ServerOptions.port, **http, "request_timeout_s": 2 * read.timeout_s},
        "applications": applications,
    }
    left_out = [name for name in given if name in elsewhere and name not in _KEPT]
    return ServeFile(content, left_out)


def _modules(given: dict[str, Any]) -> dict[str, Any]:
    """Take the models out of the content of a config.json; a repository's are named one by one."""
    modules = given.pop("modules_info", {})
    read_modules(modules)
    repository = given.pop("model_repository", "")
    folders = Repository(Path(repository)).folders() if repository else {}
    found = {name: {"init_args": {"inference_model_dir": str(path)}} for name, path in folders.items()}
    modules = {**found, **modules}
    if not modules:
        named = f"model_repository {repository} has no folder with a model"
        raise SettingsError(named if repository else "modules_info names nothing")
    return modules


def _model(
    name: str, module: Mapping[str, Any], options: Mapping[str, Any], root_path: str
) -> dict[str, Any]:
    use_gpu = options.get("use_gpu") or module.get("init_args", {}).get("use_gpu")
    return {
        "name": name,
        "route_prefix": f"{root_path}{PREDICTIONS_PATH}/{name}",
        "import_path": f"{_IMPORTS}:model",
        "args": {"modules_info": {name: dict(module)}, **options},
        "deployments": [
            {
                "name": name,
                "num_replicas": 1,
                "ray_actor_options": {"num_cpus": 1, "num_gpus": 1 if use_gpu else 0},
            }
        ],
    }


def _overview(names: list[str], options: Mapping[str, Any]) -> dict[str, Any]:
    name = _OVERVIEW
    while name in names:  # applications of one name can't be told apart
        name += "_"
    return {
        "name": name,
        "route_prefix": "/",
        "import_path": f"{_IMPORTS}:overview",
        "deployments": [{"name": _OVERVIEW, "user_config": {"models": names, **options}}],
    }
