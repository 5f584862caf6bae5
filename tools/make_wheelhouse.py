"""`make wheelhouse`: what a machine without a network needs to install a pinned set, in one archive.

    python tools/make_wheelhouse.py serving [--output build]

The archive has the wheels of constraints/SET.txt, of this project and of pip, for a server the default model,
and install.sh. It is for machines with the Python and the kind of system that it was made with.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

REPOSITORY: Final = Path(__file__).resolve().parent.parent
TEMPLATE: Final = Path(__file__).with_name("wheelhouse_install.sh")
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM: Final = sysconfig.get_platform()
_SOURCES: Final = ("setup.cfg", "pyproject.toml", "readme_en.md", "test_hubserving.py", "clas", "clas_client")
_NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", "inference")
CONSTRAINTS: Final = REPOSITORY / "constraints"
MODEL: Final = REPOSITORY / "clas" / "inference"


class WheelhouseError(Exception):
    """Raised for what is missing; the message says what makes it."""


class Contents(NamedTuple):
    """What an archive has beside wheels.

    Attributes:
        model: The files of the default model; empty for none.
        has_module: Whether it has the folder that `hub install` takes, with the model in it.
        command: What is typed next: in a shell that has the variables bin and here.
    """

    model: tuple[str, ...] = ()
    has_module: bool = False
    command: str = '. "$bin/activate"'


_ONNX: Final = ("inference.onnx", "inference.yml")
_PADDLES: Final = ("inference.pdiparams", "inference.yml", "inference.pdmodel")
_SERVER: Final = Contents(_ONNX, command='"$bin/clas-serving" start --inference_model_dir "$here/inference"')
_HUB: Final = Contents(
    _PADDLES,
    has_module=True,
    command='. "$bin/activate" && hub install "$here/clas" && hub serving start -m clas_system',
)
CONTENTS: Final = {
    "serving": _SERVER,
    "serving-paddle": _SERVER,
    "serving-gpu": _SERVER._replace(command=f"{_SERVER.command} --use_gpu"),
    "hub": _HUB,
    "hub-gpu-2.6": _HUB,
    "client": Contents(command='"$bin/clas-client" --help'),
    "convert": Contents(command='"$bin/python" -m clas convert --help'),
}
"""Set -> what it has; other sets have wheels only."""


def main(argv: list[str] | None = None) -> int:
    """Make the archive and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("set", choices=sets(), help="one of the sets in constraints/")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build", help="folder of the archive")
    args = parser.parse_args(argv)
    try:
        archive = make(args.set, args.output)
    except (WheelhouseError, OSError) as exc:
        print(f"make_wheelhouse: {exc}", file=sys.stderr)
        return 1
    size_mb = archive.stat().st_size / 1e6
    print(f"{archive}: {size_mb:.0f} MB, SHA-256 {digest_of(archive)}")
    print(f"for Python {PYTHON} on {PLATFORM}; there:")
    print(f"    tar xzf {archive.name} && sh {stem_of(args.set)}/install.sh")
    return 0


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        for block in iter(partial(opened.read, 2**20), b""):
            digest.update(block)
    return digest.hexdigest()


def sets() -> list[str]:
    """Return the names of the pinned sets."""
    files = CONSTRAINTS.glob("*.txt")
    return sorted(file.stem for file in files if not file.stem.startswith("overrides"))


def stem_of(set_name: str) -> str:
    """Return the name of the archive and of the folder in it, without an ending."""
    protocol = (REPOSITORY / "clas" / "protocol.py").read_text(encoding="utf-8")  # which imports numpy
    [version] = re.findall(r'^VERSION: Final = "(.+)"$', protocol, re.MULTILINE)
    return f"clas_system-{version}-{set_name}-cp{PYTHON.replace('.', '')}-{PLATFORM.replace('-', '_')}"


def make(set_name: str, output: Path) -> Path:
    """Make the archive of a set, and return its path.

    Raises:
        WheelhouseError: The model isn't there, or pip fails.
        OSError: A file can't be written.
    """
    contents = CONTENTS.get(set_name, Contents())
    for name in contents.model:
        if not (MODEL / name).is_file():
            raise WheelhouseError(f"{MODEL / name} isn't there: make wheelhouse SET={set_name} exports it")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wheelhouse-", dir=output) as work:
        folder = Path(work, stem_of(set_name))
        folder.mkdir()
        requirements = shutil.copy(CONSTRAINTS / f"{set_name}.txt", folder)
        gather_wheels(Path(work), folder / "wheels", Path(requirements))
        if contents.has_module:
            shutil.copytree(REPOSITORY / "clas", folder / "clas", ignore=_NOT_COPIED)
        if contents.model:
            model = folder / "clas" / "inference" if contents.has_module else folder / "inference"
            model.mkdir()
            for name in contents.model:
                shutil.copy(MODEL / name, model)
        (folder / "install.sh").write_text(installer(set_name), encoding="utf-8")
        return _pack(folder, output / f"{folder.name}.tar.gz")


def gather_wheels(work: Path, wheels: Path, requirements: Path) -> None:
    """Download the wheels of a set and of pip, and build those of this project and of what has none.

    Args:
        work: A folder for what is needed meanwhile.
        wheels: Where they go; made.
        requirements: The file of the set.

    Raises:
        WheelhouseError: pip fails.
    """
    venv.create(work / "venv", with_pip=True)
    python = work / "venv" / ("Scripts/python" if os.name == "nt" else "bin/python")
    _gather(python, wheels, "-r", str(requirements))
    _gather(python, wheels, str(_copy_sources(work / "source")))
    if not list(wheels.glob("pip-*.whl")):
        show = [str(python), "-c", "import pip; print(pip.__version__)"]
        version = subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()
        _gather(python, wheels, f"pip=={version}")


def _gather(python: Path, wheels: Path, *wanted: str) -> None:
    pip = [str(python), "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if subprocess.run([*pip, "--wheel-dir", str(wheels), *wanted], check=False).returncode:
        raise WheelhouseError(f"pip has no wheels of {wanted[-1]} for Python {PYTHON} on {PLATFORM}")


def _copy_sources(folder: Path) -> Path:
    """Copy what the wheel of this project is made of: setuptools leaves things behind where it builds."""
    folder.mkdir()
    for name in _SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=_NOT_COPIED)
        else:
            shutil.copy(path, folder)
    return folder


def installer(set_name: str) -> str:
    """Return the text of install.sh."""
    command = CONTENTS.get(set_name, Contents()).command
    values = {
        "@SET@": set_name,
        "@PYTHON@": PYTHON,
        "@PLATFORM@": PLATFORM,
        "@NEXT@": command.replace("\\", "\\\\").replace('"', '\\"'),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


def _pack(folder: Path, archive: Path) -> Path:
    """Write the archive; a wheel is compressed already."""
    made = folder.with_name("archive.tar.gz")
    with tarfile.open(made, "w:gz", compresslevel=1) as tar:
        tar.add(folder, folder.name, filter=_owned_by_nobody)
    return made.replace(archive)


def _owned_by_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the user of this machine; whoever unpacks it owns it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.name.endswith(".sh") else 0o644
    return member


if __name__ == "__main__":
    sys.exit(main())
