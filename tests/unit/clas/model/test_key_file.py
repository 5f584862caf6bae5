import base64
import os
import stat
from pathlib import Path

import pytest

from clas.errors import EncryptedModelError
from clas.model.key_file import read_key, write_new_key

KEY = bytes(range(32))


def test_a_new_key_is_random_and_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for name in ("a", "b"):
            write_new_key(tmp_path / name)
    finally:
        os.umask(before)
    first, second = read_key(tmp_path / "a"), read_key(tmp_path / "b")
    assert len(first) == len(second) == 32
    assert first != second
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_key_file_that_is_there_is_kept(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key")
    content = (tmp_path / "key").read_bytes()
    with pytest.raises(EncryptedModelError, match=r"key can't be made: File exists"):
        write_new_key(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == content


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_key_is_32_bytes_in_base64(tmp_path: Path, end: bytes) -> None:
    (tmp_path / "key").write_bytes(base64.b64encode(KEY) + end)
    (tmp_path / "key").chmod(0o600)
    assert read_key(tmp_path / "key") == KEY


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640, 0o700])
def test_owner_and_group_may_read_it(tmp_path: Path, mode: int) -> None:
    write_new_key(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    assert len(read_key(tmp_path / "key")) == 32


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o660])
def test_a_key_that_is_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    write_new_key(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(EncryptedModelError) as caught:
        read_key(tmp_path / "key")
    path = tmp_path / "key"
    assert str(caught.value) == f"the key file {path} is open to others (mode {mode:o}): chmod 600 {path}"


@pytest.mark.parametrize(
    "content", [b"", KEY, KEY.hex().encode(), base64.b64encode(KEY[:31]), b"A" * 44, b"\xff\xfe"]
)
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(EncryptedModelError, match="holds no key: 32 random bytes in base64, as") as caught:
        read_key(tmp_path / "key")
    assert not content or content.decode("latin-1") not in str(caught.value)


@pytest.mark.parametrize("name", ["missing", ".", "nul\0"])
def test_what_can_not_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(EncryptedModelError, match="can't be read: "):
        read_key(tmp_path / name)
