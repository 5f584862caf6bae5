"""`python -m clas rename_module`: copy this package as a PaddleHub module of another name.

The copy calls itself by that name wherever this package calls itself by its own: PaddleHub may load both into
one process, where their loggers and their protobuf messages have to differ, and the copy's own server takes
the copy's config.json.
"""

import argparse
import importlib.util
import keyword
import logging
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from ..errors import SettingsError
from ..model.files import MODULE_DIR, find_model
from ..protocol import MODULE_NAME
from ..settings import load_settings
from .flags import existing
from .parser import Parser
from .terminal import run_to_status, show_log

_MODEL: Final = "inference"
_CODE: Final = (".py", ".js", ".html")
_MODEL_SETTING: Final = re.compile(
    rb"""("inference_model_dir":\s*)("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
)
_TAKEN: Final = "is the name of a Python package, or of a folder here"


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit status: 1 if there is no copy."""
    args = parser().parse_args(argv)
    show_log(logging.WARNING, "%(levelname)s: %(message)s")
    return run_to_status(partial(_run, args))


def parser() -> Parser:
    """Return the parser of the command's flags."""
    rename = Parser(
        prog="python -m clas rename_module",
        description="Copy this package as a PaddleHub module of another name, which is installed and served "
        f"beside {MODULE_NAME}, with a model and a params.py of its own.",
        allow_abbrev=False,
    )
    add = rename.add_argument
    add("directory", type=Path, metavar="DIR", help="New folder for the copy")
    add("name", type=_module_name, metavar="NAME", help="Name of the module: letters, digits and underscores")
    help_text = (
        "Folder of the copy's model, for its params.py; without it, the model in this package's "
        f"folder {_MODEL}/ is copied along"
    )
    add("--inference_model_dir", type=existing, metavar="PATH", help=help_text)
    return rename


def _module_name(text: str) -> str:
    """Parse the name of a module: PaddleHub makes it a folder, a Python package and a part of an address."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
        fault = "isn't a name for a module (letters, digits and underscores, a letter first)"
    elif keyword.iskeyword(text):
        fault = "is a keyword of Python"
    elif text.lower() == MODULE_NAME.lower():  # one folder where names ignore case
        fault = "is the name of this module"
    elif _is_importable(text):  # PaddleHub puts its modules before all libraries
        fault = _TAKEN
    else:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} {fault}: choose another")


def _is_importable(name: str, but: Path | None = None) -> bool:
    """Whether Python finds a module or folder of a name, other than the folder `but`."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a spec, such as __main__
        return True
    if spec is None:
        return False
    return spec.origin is not None or any(
        Path(place).resolve() != but for place in spec.submodule_search_locations or ()
    )


def _run(args: argparse.Namespace) -> int:
    directory, name = args.directory.resolve(), args.name
    _check_directory(directory, name)
    model_dir = args.inference_model_dir and args.inference_model_dir.resolve()
    if model_dir:
        find_model(load_settings({"inference_model_dir": str(model_dir)}))
        model = f"the model in {model_dir}"
    elif (MODULE_DIR / _MODEL).is_dir():
        model = f"a copy of the model in {MODULE_DIR / _MODEL}"
    else:
        model = f"no model of its own: put one into {args.directory / _MODEL}"
    _write(directory, name, model_dir)
    sys.stdout.write(
        f"made {args.directory}: the module {name}, with {model}\n"
        f"next: hub install {shlex.quote(str(args.directory))}/ && "
        f"hub serving start -m {MODULE_NAME} {name}\n"
    )
    return 0


def _check_directory(directory: Path, name: str) -> None:
    """Check that the copy can be made there, and run from there.

    Raises:
        SettingsError: It can't.
    """
    if directory.is_relative_to(MODULE_DIR):
        raise SettingsError(f"{directory} is in the folder that is copied: name one outside {MODULE_DIR}")
    try:
        is_there = directory.exists() and (not directory.is_dir() or any(directory.iterdir()))
    except OSError as exc:
        raise SettingsError(f"{directory} can't be looked up: {exc.strerror}") from exc
    if is_there:
        raise SettingsError(f"there is {directory} already: name a new folder")
    folder = directory.name
    if folder.lower() == name.lower():
        fault = f"is the module's name, and `hub run {name}` takes a folder of that name for the module"
    elif not re.fullmatch(r"[\w-]+", folder):
        fault = "has other characters than letters, digits, - and _"
    elif _is_importable(folder, but=directory):
        fault = _TAKEN
    else:
        return
    raise SettingsError(f"the folder's name {folder!r} {fault}: choose another")


def _write(directory: Path, name: str, model_dir: Path | None) -> None:
    """Make the copy in a new folder, which is there when all of it is.

    Raises:
        SettingsError: A file can't be copied, or isn't as it is changed.
    """
    above = next(path for path in directory.parents if path.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".rename_module-", dir=above) as staging:
            made = Path(staging) / directory.name
            shutil.copytree(
                MODULE_DIR, made, ignore=partial(_left_out, model_dir), copy_function=shutil.copyfile
            )
            _rename(made, name)
            if model_dir:
                _set_model(made / "params.py", model_dir)
            directory.parent.mkdir(parents=True, exist_ok=True)
            if directory.exists():
                directory.rmdir()
            made.rename(directory)
    except shutil.Error as exc:
        path, _, reason = exc.args[0][0]
        raise SettingsError(f"{path} can't be copied: {reason}") from exc
    except OSError as exc:
        raise SettingsError(f"{directory} can't be written: {exc.strerror}") from exc


def _left_out(model_dir: Path | None, directory: str, names: Sequence[str]) -> set[str]:
    """Return what isn't copied of a folder: bytecode, and the model if the copy has another."""
    is_top = Path(directory) == MODULE_DIR
    return {name for name in names if name == "__pycache__" or (is_top and model_dir and name == _MODEL)}


def _rename(made: Path, name: str) -> None:
    """Change the name of the module throughout a copy, and that of the folder in what one is told to type."""
    own_name = re.compile(rf"\b{MODULE_NAME}\b".encode())
    own_folder = re.compile(rf"\b(hub install|python) {re.escape(MODULE_DIR.name)}/".encode())
    for path in [made / "config.json", *(path for path in made.rglob("*") if path.suffix in _CODE)]:
        content = path.read_bytes()
        changed = own_folder.sub(rf"\1 {made.name}/".encode(), own_name.sub(name.encode(), content))
        if changed != content:
            path.write_bytes(changed)
    if f'\n    name="{name}",\n'.encode() not in (made / "module.py").read_bytes():  # as PaddleHub reads it
        raise SettingsError(f'{MODULE_DIR / "module.py"} has no line name="{MODULE_NAME}" to change')


def _set_model(params: Path, model_dir: Path) -> None:
    value = repr(str(model_dir)).encode()
    changed, count = _MODEL_SETTING.subn(lambda match: match[1] + value, params.read_bytes())
    if count != 1:
        raise SettingsError(
            f'{MODULE_DIR / params.name} has no line "inference_model_dir": "..." to change: '
            "leave --inference_model_dir out"
        )
    params.write_bytes(changed)
