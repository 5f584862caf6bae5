"""Bearer authentication."""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from ...errors import NotFoundError, SettingsError, UnauthorizedError
from ...protocol import OPEN_INFERENCE_PATH, REPOSITORY_PATH
from ..options import ServerOptions
from .web_ui import ICON_PATH, UI_PATH

_HEALTH: Final = ("/health/live", "/health/ready")
_OPEN: Final = (  # without a token
    *_HEALTH,
    *(f"{OPEN_INFERENCE_PATH}{path}" for path in _HEALTH),
    *("/docs", "/openapi.json", UI_PATH, ICON_PATH),
)
_OPEN_BELOW: Final = ("/docs/", f"{UI_PATH}/")
_SCHEME: Final = "bearer"
_MIN_CHARACTERS: Final = 16


class Guard:
    """Checks who may ask for what.

    Args:
        tokens: The valid tokens; None if everybody may send requests.
        admin_tokens: Those of who may load and unload models; None if nobody may by the network.
        has_control: Whether models are loaded and unloaded here. Where they aren't, everybody is told so.
    """

    def __init__(
        self,
        tokens: "Tokens | None" = None,
        admin_tokens: "Tokens | None" = None,
        *,
        has_control: bool = True,
    ) -> None:
        self._tokens = tokens
        self._admin_tokens = admin_tokens
        self._has_control = has_control

    def check(self, scope: Scope) -> None:
        """Check the token of a request.

        Raises:
            UnauthorizedError: It has none that is valid, and needs one.
            NotFoundError: Nobody may ask for that.
        """
        path = scope["path"]
        if path.startswith(f"{REPOSITORY_PATH}/"):
            if is_local(scope) or not self._has_control:
                return
            if self._admin_tokens is None:
                raise NotFoundError(f"there is nothing at {path[:80]}: model_control is off")
            self._admin_tokens.check(Headers(scope=scope).get("Authorization", ""))
        elif self._tokens and not (path in _OPEN or path.startswith(_OPEN_BELOW) or is_local(scope)):
            self._tokens.check(Headers(scope=scope).get("Authorization", ""))


def load_guard(options: ServerOptions, *, has_control: bool = True) -> Guard:
    """Read the files of tokens.

    Args:
        options: They name the files.
        has_control: As `Guard` takes it.

    Raises:
        SettingsError: One is invalid.
    """
    tokens = load_tokens(Path(options.token_file)) if options.token_file else None
    if not options.model_control or not has_control:
        return Guard(tokens, has_control=has_control)
    return Guard(tokens, load_tokens(Path(options.admin_token_file), "admin_token_file"))


def is_local(scope: Scope) -> bool:
    """Whether a request came by the server's own socket, which its user alone can open."""
    server = scope.get("server")
    return server is not None and server[1] is None  # a path, and no port


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


def load_tokens(path: Path, option: str = "token_file") -> Tokens:
    """Read a token per line; blank lines and those that begin with # are ignored.

    Args:
        path: The file.
        option: The option that names it, for messages.

    Raises:
        SettingsError: The file can't be read, holds no token, or an invalid one.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise SettingsError(f"{option} {path} can't be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{option} {path} isn't UTF-8") from exc
    tokens: list[str] = []
    for number, line in enumerate(lines, start=1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        if len(token) < _MIN_CHARACTERS or not token.isascii() or len(token.split()) > 1:
            raise SettingsError(
                f"{option} {path} has an invalid token in line {number}: a token has {_MIN_CHARACTERS} "
                "or more characters of ASCII without blanks, such as `openssl rand -hex 32` makes"
            )
        tokens.append(token)
    if not tokens:
        raise SettingsError(f"{option} {path} holds no token; write one per line")
    return Tokens(tokens)


def _digest(token: str) -> bytes:
    """Hash a token, so that the comparison doesn't reveal its length."""
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).digest()
