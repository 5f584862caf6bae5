"""An archive of `make wheelhouse`, made of a small set, and installed where there is no network."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import make_wheelhouse
from clas.protocol import VERSION

CUT_OFF = ["unshare", "--map-root-user", "--net"]


def can_cut_off() -> bool:
    """Whether this machine gives its users network namespaces."""
    if shutil.which(CUT_OFF[0]) is None:
        return False
    return subprocess.run([*CUT_OFF, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> Path:
    """Of the client's set with the smallest of its wheels only."""
    lines = (repository / "constraints" / "client.txt").read_text(encoding="utf-8").splitlines()
    constraints = tmp_path / "constraints"
    constraints.mkdir()
    kept = [line for line in lines if line.startswith(("tqdm==", "idna=="))]
    (constraints / "client.txt").write_text("\n".join(kept))
    monkeypatch.setattr(make_wheelhouse, "CONSTRAINTS", constraints)
    assert make_wheelhouse.main(["client", "--output", str(tmp_path / "build")]) == 0
    [made] = (tmp_path / "build").iterdir()
    return made


@pytest.mark.skipif(not can_cut_off(), reason="there are no network namespaces here")
def test_an_archive_installs_without_a_network(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "a folder"
    target.mkdir()
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    [folder] = target.iterdir()
    assert archive.name == f"{folder.name}.tar.gz"
    wheels = sorted(file.name.partition("-")[0] for file in (folder / "wheels").glob("*.whl"))
    assert wheels == ["clas_system", "idna", "pip", "tqdm"]
    env = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    command = [*CUT_OFF, "/bin/sh", str(folder / "install.sh")]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bin_folder = folder / "venv" / "bin"
    assert done.stdout.splitlines()[-1].strip() == f'"{bin_folder}/clas-client" --help'
    asked = "import idna, tqdm; from importlib.metadata import version; print(version('clas_system'))"
    shown = subprocess.run([bin_folder / "python", "-c", asked], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == VERSION
