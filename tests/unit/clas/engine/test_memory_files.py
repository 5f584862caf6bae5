import base64
import os
import tempfile
from pathlib import Path

import pytest

from clas.engine.memory_files import decrypted_in_memory
from clas.errors import DeviceError
from clas.model.encryption import Encryptor
from clas.model.files import ModelFiles

pytest.importorskip("cryptography")  # isn't in every environment

NAMES = ("inference.json", "inference.pdiparams")


def open_files() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFiles:
    encryptor = Encryptor(NAMES, bytes(32))
    for name in NAMES:
        (tmp_path / name).write_bytes(encryptor.encrypt(name, name.encode() * 1000))
    (tmp_path / "key").write_bytes(base64.b64encode(bytes(32)))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return ModelFiles(tmp_path / NAMES[0], tmp_path / NAMES[1], key_file=str(tmp_path / "key"))


def test_the_content_can_be_read_by_name_and_is_on_no_disk(files: ModelFiles, tmp_path: Path) -> None:
    with decrypted_in_memory(files) as lent:
        assert not lent.key_file
        assert lent.is_json
        for path, name in zip((lent.program, lent.weights), NAMES, strict=True):
            assert path.name == name
            assert path.read_bytes() == name.encode() * 1000
            assert path.is_symlink()
            assert str(path.readlink()).startswith("/proc/self/fd/")
        links = [path for path in (tmp_path / "scratch").rglob("*") if not path.is_dir()]
        assert sorted(links) == sorted((lent.program, lent.weights))
    assert not list((tmp_path / "scratch").iterdir())


def test_nothing_stays_open(files: ModelFiles) -> None:
    before = open_files()
    with decrypted_in_memory(files):
        assert len(open_files()) == len(before) + 2
    assert len(open_files()) == len(before)


def test_a_system_without_such_memory_says_what_to_do(
    files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with (
        pytest.raises(DeviceError, match=r"inference.json can't be read from memory on this system: encrypt"),
        decrypted_in_memory(files),
    ):
        pass
