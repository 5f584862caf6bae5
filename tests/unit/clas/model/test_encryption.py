import base64
import json
import struct
from pathlib import Path

import pytest

from clas.errors import EncryptedModelError
from clas.model.encryption import Encryptor, check_folder, read_file

pytest.importorskip("cryptography")  # isn't in every environment

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY = bytes(range(32))
OF_VERSION_1 = base64.b64decode(
    "Q0xBU0VOQwFhAAAAeyJtb2RlbCI6ICJkMjBhZjNjMzllMmE1ODYyZTA5MzcyNjVkYTk5ODI1NSIsICJrZXkiOiAiYjQwZmE0NTIwMjBl"
    "YWMxYiIsICJmaWxlcyI6IFsibGFiZWxzLnR4dCJdfebG0kyBawDMIxQiSP41NuwxXrIRei6HskMhnZx6DcxtpE0="
)
CONTENTS = {"inference.pdmodel": b"the program", "inference.pdiparams": b"\0" * 50, "names/labels.txt": b""}


def write_key(path: Path, key: bytes = KEY) -> str:
    path.write_bytes(base64.b64encode(key))
    path.chmod(0o600)
    return str(path)


def write_encrypted(directory: Path, key: bytes = KEY) -> Path:
    encryptor = Encryptor(list(CONTENTS), key)
    for name, content in CONTENTS.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(encryptor.encrypt(name, content))
    return directory


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    return write_key(tmp_path / "key")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_encrypted(tmp_path / "model")


def programs(directory: Path) -> list[Path]:
    return [directory / "inference.pdmodel", directory / "inference.pdiparams"]


def load(directory: Path, key_file: str) -> dict[str, bytes]:
    """All that a start does."""
    check_folder(programs(directory), directory, key_file)
    return {name: read_file(directory / name, directory, key_file) for name in CONTENTS}


def test_what_was_encrypted_is_read(model: Path, key_file: str) -> None:
    assert load(model, key_file) == CONTENTS
    assert b"the program" not in (model / "inference.pdmodel").read_bytes()


def test_the_form_is_the_one_that_is_described(model: Path) -> None:
    """Read without our code: what is encrypted today has to be read by every later version."""
    for name, content in CONTENTS.items():
        data = (model / name).read_bytes()
        magic, version, length = struct.unpack("<7sBI", data[:12])
        assert (magic, version) == (b"CLASENC", 1)
        head = json.loads(data[12 : 12 + length])
        assert head["files"] == sorted(CONTENTS)
        start, nonce, sealed = data[: 12 + length], data[12 + length :][:12], data[12 + length + 12 :]
        assert AESGCM(KEY).decrypt(nonce, sealed, start + name.encode()) == content


def test_what_the_first_version_encrypted_is_still_read(tmp_path: Path, key_file: str) -> None:
    (tmp_path / "labels.txt").write_bytes(OF_VERSION_1)
    assert read_file(tmp_path / "labels.txt", tmp_path, key_file) == b"0 cat\n"


def test_no_nonce_is_used_twice() -> None:
    encryptor = Encryptor(["a"], KEY)
    assert len({encryptor.encrypt("a", b"the same") for _ in range(100)}) == 100


def test_a_file_with_any_byte_changed_is_refused_in_one_line(model: Path, key_file: str) -> None:
    for name in CONTENTS:
        whole = (model / name).read_bytes()
        for place in range(len(whole)):
            changed = bytearray(whole)
            changed[place] ^= 1
            (model / name).write_bytes(changed)
            with pytest.raises(EncryptedModelError) as caught:
                load(model, key_file)
            assert str(caught.value).isprintable()
        (model / name).write_bytes(whole)
    assert load(model, key_file) == CONTENTS


def test_a_file_that_is_cut_off_anywhere_or_grows_is_refused(model: Path, key_file: str) -> None:
    for name in CONTENTS:
        whole = (model / name).read_bytes()
        for changed in (*(whole[:length] for length in range(len(whole))), whole + b"\0"):
            (model / name).write_bytes(changed)
            with pytest.raises(EncryptedModelError):
                load(model, key_file)
        (model / name).write_bytes(whole)


def test_files_that_are_exchanged_are_refused(model: Path, key_file: str) -> None:
    first, second = programs(model)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(EncryptedModelError, match=r"pdmodel was changed .*, or is another file of the model"):
        load(model, key_file)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_of_another_model_of_the_same_key_is_refused(
    model: Path, tmp_path: Path, key_file: str, name: str
) -> None:
    (model / name).write_bytes((write_encrypted(tmp_path / "other") / name).read_bytes())
    with pytest.raises(
        EncryptedModelError, match=r"belongs to another encrypted model than inference\.pdmodel"
    ):
        load(model, key_file)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_that_is_left_out_is_missed(model: Path, key_file: str, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(EncryptedModelError, match=f"{name} (is missing; it belongs to|can't be read)"):
        load(model, key_file)


def test_another_key_is_named_as_the_reason(model: Path, tmp_path: Path) -> None:
    other = write_key(tmp_path / "other", bytes(32))
    with pytest.raises(EncryptedModelError, match=f"was encrypted with another key than that in {other}$"):
        load(model, other)


def test_an_encrypted_model_without_a_key_says_what_is_missing(model: Path) -> None:
    for name in CONTENTS:
        with pytest.raises(EncryptedModelError, match=f"{name} is encrypted: set model_key_file to the file"):
            read_file(model / name, model, "")
    with pytest.raises(EncryptedModelError, match="pdmodel is encrypted: set model_key_file"):
        check_folder(programs(model), model, "")


@pytest.mark.parametrize("name", CONTENTS)
def test_a_readable_file_in_an_encrypted_model_is_refused(model: Path, key_file: str, name: str) -> None:
    (model / name).write_bytes(CONTENTS[name])
    with pytest.raises(EncryptedModelError, match=f"model_key_file is set, but .*{name} isn't encrypted"):
        load(model, key_file)


def test_files_elsewhere_are_read_as_they_are_unless_they_are_encrypted(
    model: Path, tmp_path: Path, key_file: str
) -> None:
    (tmp_path / "labels.txt").write_bytes(b"0 cat")
    assert read_file(tmp_path / "labels.txt", model, key_file) == b"0 cat"
    (tmp_path / "labels.txt").write_bytes((model / "names" / "labels.txt").read_bytes())
    with pytest.raises(EncryptedModelError, match=r"labels\.txt is encrypted: set model_key_file"):
        read_file(tmp_path / "labels.txt", model, key_file)


def test_a_later_form_is_named(model: Path, key_file: str) -> None:
    path = model / "inference.pdmodel"
    data = path.read_bytes()
    path.write_bytes(data[:7] + b"\2" + data[8:])
    with pytest.raises(EncryptedModelError, match="encrypted in the form 2, and this version reads 1"):
        load(model, key_file)


@pytest.mark.parametrize("head", [b"[]", b"{}", b'{"key": 1, "files": ["/etc/passwd"]}', b"{", b"[" * 5000])
def test_a_head_of_somebody_else_is_refused_in_one_line(model: Path, key_file: str, head: bytes) -> None:
    (model / "inference.pdmodel").write_bytes(struct.pack("<7sBI", b"CLASENC", 1, len(head)) + head)
    with pytest.raises(EncryptedModelError) as caught:
        load(model, key_file)
    assert "\n" not in str(caught.value)


def test_without_the_package_the_remedy_is_named(
    model: Path, key_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(EncryptedModelError, match="need cryptography: pip install cryptography"):
        load(model, key_file)


def test_a_label_file_beside_the_folder_is_not_of_the_model_however_it_is_named(
    model: Path, key_file: str, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_bytes(b"0 cat")
    assert read_file(model / ".." / "labels.txt", model, key_file) == b"0 cat"


def test_a_file_of_another_model_is_refused_although_nobody_listed_it(
    model: Path, key_file: str, tmp_path: Path
) -> None:
    other = write_encrypted(tmp_path / "other")
    (other / "names" / "labels.txt").rename(model / "inference.yml")
    with pytest.raises(EncryptedModelError, match="belongs to another encrypted model"):
        check_folder([*programs(model), model / "inference.yml"], model, key_file)
