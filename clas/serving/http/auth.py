"""Bearer tokens from a file."""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from ...errors import SettingsError, UnauthorizedError

_SCHEME: Final = "bearer"
_MIN_CHARACTERS: Final = 16


class Tokens:
    """Decides who may ask; compares in a time that tells nothing about the tokens.

    Args:
        tokens: Those that are valid.
    """

    def __init__(self, tokens: list[str]) -> None:
        self._digests = [_digest(token) for token in tokens]

    def check(self, authorization: str) -> None:
        """Let the owner of a valid token pass.

        Args:
            authorization: The header of this name; empty if it is missing.

        Raises:
            UnauthorizedError: It holds no valid token.
        """
        scheme, _, token = authorization.strip().partition(" ")
        came = _digest(token.strip())
        matches = [hmac.compare_digest(came, digest) for digest in self._digests]  # all of them, always
        if scheme.lower() != _SCHEME or not any(matches):
            raise UnauthorizedError("a valid token is needed: send the header 'Authorization: Bearer TOKEN'")


def load_tokens(path: Path) -> Tokens:
    """Read a token a line; blank lines, and those that begin with #, don't count.

    Raises:
        SettingsError: The file can't be read, holds none, or one that is too short or has odd characters.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise SettingsError(f"token_file {path} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"token_file {path} isn't UTF-8") from exc
    tokens: list[str] = []
    for number, line in enumerate(lines, start=1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        if len(token) < _MIN_CHARACTERS or not token.isascii() or len(token.split()) > 1:
            raise SettingsError(
                f"token_file {path} has no good token in line {number}: it takes {_MIN_CHARACTERS} or more "
                "characters of ASCII without blanks, such as `openssl rand -hex 32` makes"
            )
        tokens.append(token)
    if not tokens:
        raise SettingsError(f"token_file {path} holds no token; write one a line")
    return Tokens(tokens)


def _digest(token: str) -> bytes:
    """Of one length for all, so that the comparison doesn't tell the token's."""
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).digest()
