"""Bearer authentication."""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from ...errors import SettingsError, UnauthorizedError

_SCHEME: Final = "bearer"
_MIN_CHARACTERS: Final = 16


class Tokens:
    """Checks tokens in constant time.

    Args:
        tokens: The valid ones.
    """

    def __init__(self, tokens: list[str]) -> None:
        self._digests = [_digest(token) for token in tokens]

    def check(self, authorization: str) -> None:
        """Check the Authorization header.

        Args:
            authorization: Its value; empty if it is missing.

        Raises:
            UnauthorizedError: It holds no valid token.
        """
        scheme, _, token = authorization.strip().partition(" ")
        digest = _digest(token.strip())
        matches = [hmac.compare_digest(digest, valid) for valid in self._digests]  # all of them, always
        if scheme.lower() != _SCHEME or not any(matches):
            raise UnauthorizedError("a valid token is needed: send the header 'Authorization: Bearer TOKEN'")


def load_tokens(path: Path) -> Tokens:
    """Read a token per line; blank lines and those that begin with # are ignored.

    Raises:
        SettingsError: The file can't be read, holds no token, or an invalid one.
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
                f"token_file {path} has an invalid token in line {number}: a token has {_MIN_CHARACTERS} "
                "or more characters of ASCII without blanks, such as `openssl rand -hex 32` makes"
            )
        tokens.append(token)
    if not tokens:
        raise SettingsError(f"token_file {path} holds no token; write one per line")
    return Tokens(tokens)


def _digest(token: str) -> bytes:
    """Hash a token, so that the comparison doesn't reveal its length."""
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).digest()
