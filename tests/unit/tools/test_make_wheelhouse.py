import re
import subprocess
import sys
from pathlib import Path

import pytest

import make_wheelhouse
from make_wheelhouse import CONTENTS, PLATFORM, PYTHON, installer, main, sets


def install(
    folder: Path, *arguments: str, python: Path = Path(sys.executable)
) -> subprocess.CompletedProcess[str]:
    """Run the install.sh of an archive without wheels."""
    (folder / "install.sh").write_text(installer("serving"), encoding="utf-8")
    command = ["/bin/sh", str(folder / "install.sh"), *arguments]
    env = {"PATH": "/usr/bin:/bin", "PYTHON": str(python)}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)


def test_every_pinned_set_can_be_gathered_and_no_other(repository: Path) -> None:
    assert {"client", "hub", "ray", "serving", "serving-gpu", "serving-paddle"} <= set(sets())
    assert CONTENTS.keys() <= set(sets())
    assert all((repository / "constraints" / f"{name}.in").is_file() for name in sets())


@pytest.mark.parametrize("set_name", sorted(CONTENTS))
def test_make_exports_the_model_that_the_archive_takes(repository: Path, set_name: str) -> None:
    command = ["make", "--no-print-directory", "--dry-run", "--always-make", "wheelhouse", f"SET={set_name}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith(f" tools/make_wheelhouse.py {set_name}")
    exported = re.findall(r"export_efficientnet_lite\.py(?: --format (\w+))?", done.stdout)
    program = next((name for name in CONTENTS[set_name].model if name.endswith(("onnx", "pdmodel"))), "")
    assert [form or "pdmodel" for form in exported] == [program.partition(".")[2]] * bool(program)


def test_a_model_that_is_missing_is_named_with_the_command_that_exports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_wheelhouse, "MODEL", tmp_path)
    assert main(["serving", "--output", str(tmp_path / "build")]) == 1
    message = f"{tmp_path / 'inference.onnx'} isn't there: make wheelhouse SET=serving exports it"
    assert capsys.readouterr().err == f"make_wheelhouse: {message}\n"


def test_another_python_is_refused_in_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 3.9 on linux-riscv64\n")
    other.chmod(0o755)
    done = install(tmp_path, python=other)
    wanted = f"the wheels are for Python {PYTHON} on {PLATFORM}; {other} is 3.9 on linux-riscv64"
    assert (done.returncode, done.stderr) == (1, f"install.sh: {wanted}\n")
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_not_there_is_named_with_what_names_another(tmp_path: Path) -> None:
    done = install(tmp_path, python=tmp_path / "none")
    assert done.returncode == 1
    hint = f"PYTHON=/path/to/python{PYTHON} sh install.sh"
    assert done.stderr == f"install.sh: there is no {tmp_path / 'none'}: {hint}\n"


def test_nothing_is_installed_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = install(tmp_path, "mine")
    assert done.returncode == 1
    assert done.stderr == "install.sh: mine is there already: remove it, or name another folder\n"
