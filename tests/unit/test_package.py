"""The package as `pip install` brings it: built, installed elsewhere, and run outside the repository."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clas.protocol import VERSION

DATA = (
    "clas/config.json",
    "clas/imagenet1k_label_list.txt",
    "clas/serving/http/ui/index.html",
    "clas/serving/http/ui/icon.svg",
)


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """Run a program that knows nothing of the repository; return what it prints."""
    # Nor of coverage, which would find no source of what is installed here when it reports.
    left_out = ("PYTHONPATH", *(name for name in os.environ if name.startswith("COVERAGE_")))
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since setuptools leaves build/ and *.egg-info behind."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "readme_en.md", "test_hubserving.py"):
        shutil.copy(repository / name, source)
    for name in ("clas", "clas_client", "tests", "tools"):
        ignored = shutil.ignore_patterns("__pycache__", "inference")
        shutil.copytree(repository / name, source / name, ignore=ignored)
    (source / "clas" / "inference").mkdir()
    (source / "clas" / "inference" / "inference.pdmodel").touch()
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", str(directory), str(source), cwd=directory)
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile")
    run(*pip, "--target", str(directory), str(wheel), cwd=directory)
    return directory


def test_the_wheel_has_all_modules_and_their_files_and_nothing_else(repository: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {"test_hubserving.py", *DATA}
    for package in ("clas", "clas_client"):
        wanted |= {str(file.relative_to(repository)) for file in (repository / package).rglob("*.py")}
        files = (repository / package).rglob("*")
        wanted |= {str(file.relative_to(repository)) for file in files if file.suffix in (".css", ".js")}
    assert names == wanted
    page = {Path(name).suffix for name in names if name.startswith("clas/commandline/report/")}
    assert {".css", ".js"} <= page
    assert wheel.name.startswith(f"clas_system-{VERSION}-")


def test_every_module_can_be_imported_outside_the_repository(repository: Path, installed: Path) -> None:
    names = ["test_hubserving"]
    for package in ("clas", "clas_client"):
        for file in sorted((repository / package).rglob("*.py")):
            parts = file.relative_to(repository).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    statement = f"import {', '.join(names)}; print(clas.errors.__file__)"
    shown = run(sys.executable, "-W", "ignore", "-c", statement, cwd=installed.parent, path=installed)
    assert Path(shown.splitlines()[-1]) == installed / "clas" / "errors.py"


@pytest.mark.parametrize(
    ("module", "arguments", "shown"),
    [
        ("clas", ("--help",), "Classify images without a server."),
        ("clas.serving", ("start", "--help"), "--inference_model_dir"),
        ("test_hubserving", ("--help",), "Send images to a clas_system service."),
    ],
)
def test_the_programs_run_outside_the_repository(
    installed: Path, module: str, arguments: tuple[str, ...], shown: str
) -> None:
    command = (sys.executable, "-W", "ignore", "-m", module, *arguments)
    assert shown in run(*command, cwd=installed.parent, path=installed)


def test_an_image_is_classified_outside_the_repository(
    installed: Path, tiny_model: Path, photographs: Path
) -> None:
    """With params.py and the label file of the package."""
    flags = ("--resize_short", "32", "--crop_size", "32", "--allow_label_mismatch", "true")
    command = (sys.executable, "-W", "ignore", "-m", "clas", "--inference_model_dir", str(tiny_model), *flags)
    shown = run(*command, str(photographs / "coffee.png"), cwd=installed.parent, path=installed)
    assert "tench" in shown or "goldfish" in shown


def test_the_installed_commands_are_there(installed: Path, repository: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    commands = setup["options.entry_points"]["console_scripts"].strip().splitlines()
    for command in commands:
        assert (installed / "bin" / command.split(" = ")[0]).is_file()


@pytest.mark.parametrize("name", ["client", "serving", "hub"])
def test_the_pinned_versions_are_within_the_bounds(repository: Path, name: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg", encoding="utf-8")
    texts = (setup["options"]["install_requires"], setup["options.extras_require"][name])
    wanted = [Requirement(line) for text in texts for line in text.splitlines() if line]
    pins: dict[str, list[str]] = {}
    for line in (repository / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if "==" in line and not line.lstrip().startswith("#"):
            pin = Requirement(line.partition(" \\")[0])
            pins.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    for requirement in wanted:
        versions = pins[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in versions), requirement
        assert requirement.specifier, f"{requirement} has no lower bound"
