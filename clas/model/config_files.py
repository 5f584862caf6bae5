"""Finds the file beside a model that says how it is used, and loads it.

It is inference.yml as PaddleClas and PaddleX write it, config.json with the same content, or PaddleClas'
deployment configuration, which people copy beside a model that was exported without the other two.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..errors import ModelConfigError
from .encryption import read_file

FILE_NAME: Final = "inference.yml"

_SAME: Final = ("inference.yaml", "config.json")
"""Other names for the same content."""
_DEPLOYMENT: Final = "inference_*.y*ml"
_SECTIONS: Final = ("PreProcess", "PostProcess")

Content = Mapping[str, Any]


class ConfigFile(NamedTuple):
    """The file of a model.

    Attributes:
        path: Where it is.
        content: Its content.
    """

    path: Path
    content: Content


def find_config(directory: Path, key_file: str = "") -> ConfigFile | None:
    """Find the file in the folder of a model: the first of inference.yml, config.json, inference_*.yaml.

    Args:
        directory: The folder.
        key_file: The file with the key of an encrypted model; empty if it isn't encrypted.

    Returns:
        The file, or None if there is none. A config.json or inference_*.yaml without the sections PreProcess
        and PostProcess is another program's.

    Raises:
        ModelConfigError: It can't be read, or there are several of the last kind.
        EncryptedModelError: It is encrypted, and can't be decrypted.
    """
    path = directory / FILE_NAME
    if path.is_file():
        return ConfigFile(path, _load(path, key_file))
    for name in _SAME:
        path = directory / name
        if path.is_file() and (content := _models(path, key_file)):
            return ConfigFile(path, content)
    found = [
        ConfigFile(path, content)
        for path in _deployment_files(directory)
        if (content := _models(path, key_file))
    ]
    if len(found) > 1:
        names = ", ".join(path.name for path, _ in found)
        raise ModelConfigError(f"{directory} has {names}: rename the one of this model to {FILE_NAME}")
    return found[0] if found else None


def config_paths(directory: Path) -> tuple[Path, ...]:
    """Return the places where a model may have such a file, whether it has one or not.

    Those that aren't looked at, since there is an inference.yml, aren't among them.
    """
    first = directory / FILE_NAME
    if first.is_file():
        return (first,)
    return (first, *(directory / name for name in _SAME), *_deployment_files(directory))


def _deployment_files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.glob(_DEPLOYMENT)) if path.is_file())


def _models(path: Path, key_file: str) -> Content | None:
    """Load a file whose name another program's may have, too; None if it is another program's."""
    try:
        content = _load_json(path, key_file) if path.suffix == ".json" else _load(path, key_file)
    except ModelConfigError:
        if path.suffix == ".json":
            return None
        raise
    return content if any(isinstance(content.get(name), Mapping) for name in _SECTIONS) else None


def _load_json(path: Path, key_file: str) -> Content:
    try:
        content = json.loads(_text(path, key_file))
    except (OSError, ValueError, RecursionError) as exc:
        raise ModelConfigError(f"{path} is not valid JSON: {exc}") from exc
    return content if isinstance(content, Mapping) else {}


def _load(path: Path, key_file: str) -> Content:
    try:
        import yaml  # noqa: PLC0415  # see module.py on late imports
    except ImportError as exc:
        raise ModelConfigError(f"{path} needs PyYAML: pip install pyyaml") from exc
    loader = getattr(
        yaml, "CSafeLoader", yaml.SafeLoader
    )  # 1000 labels take 10 ms with libyaml, 200 ms without
    try:
        content = yaml.load(_text(path, key_file), loader)  # noqa: S506  # a safe one
    except OSError as exc:
        raise ModelConfigError(f"{path} can't be read: {exc.strerror}") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:  # UnicodeDecodeError is a ValueError
        raise ModelConfigError(f"{path} is not valid YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(content, Mapping):
        raise ModelConfigError(f"{path} is not an object; it takes PreProcess and PostProcess")
    return content


def _text(path: Path, key_file: str) -> str:
    return read_file(path, path.parent, key_file).decode("utf-8-sig")
