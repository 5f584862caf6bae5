"""`python -m clas encrypt`: encrypt the files of a model."""

import argparse
import logging
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ..errors import EncryptedModelError
from ..model.encryption import MAGIC, MOST_BYTES, Encryptor, read_file
from ..model.exported import ExportedModel, read_exported_model
from ..model.files import MODULE_DIR
from ..model.inspection import check_weights
from ..model.key_file import read_key, write_new_key
from ..settings import load_settings
from .flags import existing
from .parser import Parser
from .terminal import run_to_status, show_log


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit status: 1 if there is no encrypted model."""
    args = parser().parse_args(argv)
    show_log(logging.DEBUG if args.verbose else logging.WARNING, "%(levelname)s: %(message)s")
    return run_to_status(partial(_run, args))


def parser() -> Parser:
    """Return the parser of the command's flags."""
    encrypt = Parser(
        prog="python -m clas encrypt",
        description="Encrypt all files in the folder of a model, and the label file that its inference.yml "
        "names, by AES-256 in GCM. The service decrypts them into memory only, with the setting "
        "model_key_file. Takes the package cryptography.",
        allow_abbrev=False,
    )
    add = encrypt.add_argument
    add("directory", type=existing, metavar="DIR", help="Folder of the model")
    add("--output", type=Path, required=True, metavar="DIR", help="New folder for the encrypted files")
    add("--key_file", type=Path, required=True, metavar="FILE", help="File with the key")
    help_text = "Make a key first, and write it into the key file, which must not exist yet"
    add("--generate_key", action="store_true", help=help_text)
    add("--verbose", action="store_true", help="Log which files are found")
    return encrypt


def _run(args: argparse.Namespace) -> int:
    directory, output = args.directory.resolve(), args.output.absolute()
    settings = load_settings({"inference_model_dir": str(directory), "model_key_file": ""})
    model = read_exported_model(settings)
    for program in model.programs:
        check_weights(program)  # what is encrypted isn't checked again
    files = _files_of(model)
    if output.exists() or output.resolve().is_relative_to(directory):
        raise EncryptedModelError(f"there is {output}, or it is inside {directory}: name a new folder")
    if args.key_file.resolve().is_relative_to(directory):
        raise EncryptedModelError(f"the key file {args.key_file} is in the folder of the model: move it away")
    if args.generate_key:
        write_new_key(args.key_file)
    _write(files, output, args.key_file)
    sys.stdout.write(
        f"encrypted {len(files)} files of {directory}: {', '.join(files)}\n"
        f"  flags: --inference_model_dir {output} --model_key_file {args.key_file.absolute()}\n"
    )
    return 0


def _files_of(model: ExportedModel) -> dict[str, Path]:
    """Return all files of a model by their names in its new folder."""
    paths = sorted(path for path in model.directory.rglob("*") if path.is_file())
    files = {path.relative_to(model.directory).as_posix(): path for path in paths}
    is_named = model.config is not None and "class_id_map_file" in model.config.values
    label_file = model.label_file if is_named else None
    if label_file and label_file not in paths and not label_file.is_relative_to(MODULE_DIR):
        other = files.setdefault(label_file.name, label_file)
        if other != label_file:
            raise EncryptedModelError(
                f"{label_file} and {other} have the same name: rename one, in inference.yml too"
            )
    return files


def _write(files: Mapping[str, Path], output: Path, key_file: Path) -> None:
    """Encrypt the files into a new folder, which is there when all of them are.

    Raises:
        EncryptedModelError: One is too large, or encrypted already; or a file can't be read or written.
    """
    encryptor = Encryptor(list(files), read_key(key_file))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".encrypt-", dir=output.parent) as staging:
            made = Path(staging) / "model"
            for name, path in files.items():
                _encrypt(encryptor, name, path, made)
                if read_file(made / name, made, str(key_file)) != path.read_bytes():
                    raise EncryptedModelError(f"{path} was changed while it was encrypted")
            shutil.move(made, output)
    except OSError as exc:
        raise EncryptedModelError(f"{output} can't be written: {exc.strerror}") from exc


def _encrypt(encryptor: Encryptor, name: str, path: Path, made: Path) -> None:
    content = path.read_bytes()
    if content.startswith(MAGIC):
        raise EncryptedModelError(f"{path} is encrypted already")
    if len(content) > MOST_BYTES:
        raise EncryptedModelError(
            f"{path} has {len(content)} bytes, and at most {MOST_BYTES} can be encrypted"
        )
    (made / name).parent.mkdir(parents=True, exist_ok=True)
    (made / name).write_bytes(encryptor.encrypt(name, content))
