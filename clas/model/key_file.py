"""The file with the key of encrypted models: 32 random bytes in base64, which only its owner may read."""

import binascii
import os
import secrets
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from ..errors import EncryptedModelError

_KEY_BYTES: Final = 32  # AES-256
_OPEN_TO_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP


def read_key(path: Path) -> bytes:
    """Read a key.

    Returns:
        32 bytes.

    Raises:
        EncryptedModelError: The file can't be read, is open to others, or holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(2 * _KEY_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise EncryptedModelError(f"the key file {path} can't be read: {exc}") from exc
    if os.name == "posix" and mode & _OPEN_TO_OTHERS:
        raise EncryptedModelError(
            f"the key file {path} is open to others (mode {stat.S_IMODE(mode):o}): chmod 600 {path}"
        )
    try:
        key = b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise EncryptedModelError(
            f"the key file {path} holds no key: {_KEY_BYTES} random bytes in base64, as "
            "encrypt --generate_key makes them"
        )
    return key


def write_new_key(path: Path) -> None:
    """Write a random key into a new file that only its owner may read.

    Raises:
        EncryptedModelError: There is such a file already, or it can't be written.
    """
    try:
        with open(path, "xb", opener=_open_privately) as file:  # Path.open takes no opener
            file.write(b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
    except OSError as exc:
        raise EncryptedModelError(f"the key file {path} can't be made: {exc.strerror}") from exc


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, stat.S_IRUSR | stat.S_IWUSR)
