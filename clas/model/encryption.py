"""Encrypted models: AES-256 in GCM, decrypted into memory only.

A file is the magic bytes, a version (1 byte), the length of the head (uint32, little-endian), the head, a
random nonce (12 bytes), and the encrypted content with its tag (16 bytes) at the end. The head is JSON:
`model`, a random number that all files of one model share, `key`, which tells keys apart, and `files`, the
names of all of them. Head and name are authenticated with the content, so no file can be changed, cut off,
exchanged for another one, of this model or another, or left out.
"""

import hashlib
import json
import os
import secrets
import struct
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ..errors import EncryptedModelError
from .key_file import read_key

MAGIC: Final = b"CLASENC"
MOST_BYTES: Final = 2**31 - 2**10
"""Of one file: what AES-GCM of the library takes at once, with room for the tag."""

_VERSION: Final = 1
_PREFIX: Final = struct.Struct("<7sBI")  # magic, version, length of the head
_NONCE_BYTES: Final = 12  # as NIST SP 800-38D recommends
_MOST_HEAD_BYTES: Final = 2**20
_KEY_PERSON: Final = b"clas key"


class Encryptor:
    """Encrypts the files of one model.

    Args:
        names: The names of all of them, relative to the model's folder, with slashes.
        key: 32 bytes.

    Raises:
        EncryptedModelError: The package `cryptography` is missing.
    """

    def __init__(self, names: Sequence[str], key: bytes) -> None:
        facts = {"model": secrets.token_hex(16), "key": _key_id(key), "files": sorted(names)}
        head = json.dumps(facts).encode()
        self._start = _PREFIX.pack(MAGIC, _VERSION, len(head)) + head
        self._cipher = _cipher(key)

    def encrypt(self, name: str, content: bytes) -> bytes:
        """Return the encrypted file of one of the names."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed: bytes = self._cipher.encrypt(nonce, content, _associated(self._start, name))
        return self._start + nonce + sealed


def read_file(path: Path, directory: Path, key_file: str) -> bytes:
    """Return the content of a file that belongs to a model, decrypted if the model is encrypted.

    Args:
        path: The file; with a key, one outside `directory` isn't encrypted.
        directory: The model's folder.
        key_file: The file with the key; empty if the model isn't encrypted.

    Raises:
        EncryptedModelError: It is encrypted and there is no key, or the reverse; the key is another one; or
            the file was changed.
        OSError: It can't be read.
    """
    data = path.read_bytes()
    place = Path(os.path.normpath(path))  # a label file may be named with ..
    if not key_file or not place.is_relative_to(directory):
        _refuse_encrypted(path, data)
        return data
    start, facts = _parse_start(path, data)
    key = read_key(Path(key_file))
    if facts["key"] != _key_id(key):
        raise EncryptedModelError(f"{path} was encrypted with another key than that in {key_file}")
    cipher = _cipher(key)
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # its package may be missing

    rest = memoryview(data)[len(start) :]  # which copies nothing
    name = place.relative_to(directory).as_posix()
    try:
        content: bytes = cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _associated(start, name))
    except (InvalidTag, ValueError) as exc:  # a nonce that is cut off
        raise _damage(path) from exc
    return content


def check_folder(paths: Sequence[Path], directory: Path, key_file: str) -> None:
    """Check that a model is encrypted and whole if there is a key, and isn't encrypted if there is none.

    Args:
        paths: Programs and weights; the first one says which other files there must be.
        directory: The model's folder.
        key_file: As in `read_file`.

    Raises:
        EncryptedModelError: It isn't so.
    """
    heads = {path: _read_start(path) for path in paths}
    if not key_file:
        for path, data in heads.items():
            _refuse_encrypted(path, data)
        return
    start, facts = _parse_start(paths[0], heads[paths[0]])
    for path in (*paths, *(directory / name for name in facts["files"])):
        if not path.is_file():
            raise EncryptedModelError(f"{path} is missing; it belongs to the encrypted model")
        if _parse_start(path, heads.get(path) or _read_start(path))[0] != start:
            raise EncryptedModelError(f"{path} belongs to another encrypted model than {paths[0].name}")


def _refuse_encrypted(path: Path, data: bytes) -> None:
    """Refuse the content, or the start, of a file that is encrypted, where there is no key for it."""
    if data.startswith(MAGIC):
        raise EncryptedModelError(f"{path} is encrypted: set model_key_file to the file with its key")


def _read_start(path: Path) -> bytes:
    """Return the first bytes of a file, its head among them."""
    try:
        with path.open("rb") as file:
            prefix = file.read(_PREFIX.size)
            if len(prefix) < _PREFIX.size or not prefix.startswith(MAGIC):
                return prefix
            return prefix + file.read(min(_PREFIX.unpack(prefix)[2], _MOST_HEAD_BYTES))
    except OSError as exc:
        raise EncryptedModelError(f"{path} can't be read: {exc.strerror}") from exc


def _parse_start(path: Path, data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return everything before the nonce, and the facts in it."""
    if not data.startswith(MAGIC):
        raise EncryptedModelError(f"model_key_file is set, but {path} isn't encrypted")
    try:
        _, version, length = _PREFIX.unpack_from(data)
        start = data[: _PREFIX.size + length]
        facts = json.loads(start[_PREFIX.size :]) if version == _VERSION else {"key": "", "files": []}
        names = [PurePosixPath(name) for name in facts["files"]]
        is_valid = isinstance(facts["key"], str) and not any(map(_leads_elsewhere, names))
    except (ValueError, LookupError, TypeError, struct.error, RecursionError) as exc:
        raise _damage(path) from exc
    if version != _VERSION:
        raise EncryptedModelError(
            f"{path} is encrypted in the form {version}, and this version reads {_VERSION}: encrypt it again"
        )
    if not is_valid:
        raise _damage(path)
    return start, facts


def _leads_elsewhere(name: PurePosixPath) -> bool:
    return name.is_absolute() or ".." in name.parts


def _damage(path: Path) -> EncryptedModelError:
    return EncryptedModelError(
        f"{path} was changed or cut off after it was encrypted, or is another file of the model"
    )


def _cipher(key: bytes) -> Any:  # noqa: ANN401  # an AESGCM, whose package may be missing
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    except ImportError as exc:
        raise EncryptedModelError("encrypted models need cryptography: pip install cryptography") from exc
    return AESGCM(key)


def _key_id(key: bytes) -> str:
    """A number that tells keys apart, and says nothing else about a random one."""
    return hashlib.blake2b(key, digest_size=8, person=_KEY_PERSON).hexdigest()


def _associated(start: bytes, name: str) -> bytes:
    return start + name.encode("utf-8", "surrogateescape")
