import os
import re
from pathlib import Path

import pytest
from starlette.types import Scope

from clas.errors import NotFoundError, SettingsError, UnauthorizedError
from clas.serving.http.auth import Guard, Tokens, is_local, load_guard, load_tokens
from clas.serving.options import ServerOptions

FIRST = "0123456789abcdef"
SECOND = "fedcba9876543210"


def written(directory: Path, content: bytes) -> Path:
    path = directory / "tokens.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {FIRST}", f"bearer {SECOND}", f"BEARER   {FIRST}", f"  Bearer {FIRST} "],
)
def test_the_owner_of_any_of_the_tokens_may_pass(authorization: str) -> None:
    Tokens([FIRST, SECOND]).check(authorization)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        FIRST,
        f"Basic {FIRST}",
        f"Bearer{FIRST}",
        f"Bearer {FIRST[:-1]}",
        f"Bearer {FIRST}0",
        f"Bearer {FIRST.upper()}",
        f"Bearer {FIRST} {SECOND}",
        f"Bearer {FIRST},{SECOND}",
        "Bearer \xe4\xf6\xfc",
        "Bearer \udce4",
    ],
)
def test_anybody_else_may_not(authorization: str) -> None:
    with pytest.raises(UnauthorizedError, match=r"valid token is needed: .* 'Authorization: Bearer TOKEN'"):
        Tokens([FIRST, SECOND]).check(authorization)


@pytest.mark.parametrize(
    "content",
    [
        f"{FIRST}\n{SECOND}\n",
        f"{FIRST}\r\n{SECOND}",
        f"# since May\n{FIRST}\n\n   \n  {SECOND}  \n# end",
    ],
)
def test_a_file_holds_a_token_a_line_and_remarks(tmp_path: Path, content: str) -> None:
    tokens = load_tokens(written(tmp_path, content.encode()))
    for token in (FIRST, SECOND):
        tokens.check(f"Bearer {token}")
    for other in ("# since May", "#", ""):
        with pytest.raises(UnauthorizedError):
            tokens.check(f"Bearer {other}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no token; write one per line"),
        (b"# only a remark\n\n", "holds no token; write one per line"),
        (b"too short\n", "has an invalid token in line 1: a token has 16 or more characters of ASCII"),
        (f"{FIRST}\n\n{SECOND[:-1]}".encode(), "has an invalid token in line 3"),
        (f"{FIRST} {SECOND}".encode(), "has an invalid token in line 1"),
        ("ä".encode() * 20, "has an invalid token in line 1"),
        (b"\xff" * 20, "isn't UTF-8"),
    ],
)
def test_a_bad_file_is_refused_without_telling_what_it_holds(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(SettingsError, match=re.escape(f"token_file {path} {message}")) as caught:
        load_tokens(path)
    assert SECOND[:-1] not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"token_file {tmp_path}/none can't be read: {os.strerror(2)}"):
        load_tokens(tmp_path / "none")


# Who may ask for what


def scope_of(path: str, authorization: str = "", port: int | None = 80) -> Scope:
    headers = [(b"authorization", authorization.encode())] if authorization else []
    return {"type": "http", "path": path, "headers": headers, "server": ("127.0.0.1", port)}


CLIENT, ADMIN = f"Bearer {FIRST}", f"Bearer {SECOND}"
OPEN = ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/docs", "/docs/assets/x.css")
TOKEN = ("/", "/predict/clas_system", "/metrics", "/v2", "/v2/models/rose", "/v2/models/rose/infer", "/docsx")
CONTROL = ("/v2/repository/index", "/v2/repository/models/rose/load", "/v2/repository/x")


@pytest.mark.parametrize("path", [*OPEN, *TOKEN])
def test_without_tokens_everybody_may_ask_for_all_but_changes(path: str) -> None:
    Guard().check(scope_of(path))
    Guard(None, Tokens([SECOND])).check(scope_of(path))


@pytest.mark.parametrize("path", TOKEN)
def test_with_tokens_one_is_needed(path: str) -> None:
    guard = Guard(Tokens([FIRST]), Tokens([SECOND]))
    guard.check(scope_of(path, CLIENT))
    for authorization in ("", ADMIN):
        with pytest.raises(UnauthorizedError):
            guard.check(scope_of(path, authorization))


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_documentation_need_none(path: str) -> None:
    Guard(Tokens([FIRST]), Tokens([SECOND])).check(scope_of(path))


@pytest.mark.parametrize("path", CONTROL)
def test_models_are_changed_by_administrators_alone(path: str) -> None:
    for tokens in (None, Tokens([FIRST])):
        guard = Guard(tokens, Tokens([SECOND]))
        guard.check(scope_of(path, ADMIN))
        for authorization in ("", CLIENT):
            with pytest.raises(UnauthorizedError):
                guard.check(scope_of(path, authorization))


@pytest.mark.parametrize("path", CONTROL)
@pytest.mark.parametrize("tokens", [None, Tokens([FIRST])])
def test_without_administrators_nobody_changes_them(tokens: Tokens | None, path: str) -> None:
    for authorization in ("", CLIENT):
        with pytest.raises(NotFoundError, match=f"there is nothing at {path}: model_control is off"):
            Guard(tokens).check(scope_of(path, authorization))


@pytest.mark.parametrize("path", CONTROL)
def test_where_models_are_changed_elsewhere_everybody_is_told_so(path: str) -> None:
    guard = load_guard(ServerOptions(), has_control=False)
    guard.check(scope_of(path))
    with pytest.raises(UnauthorizedError):
        Guard(Tokens([FIRST]), has_control=False).check(scope_of("/"))


@pytest.mark.parametrize("path", [*TOKEN, *CONTROL])
def test_the_servers_own_socket_is_its_users(path: str) -> None:
    for guard in (Guard(), Guard(Tokens([FIRST]), Tokens([SECOND]))):
        guard.check(scope_of(path, port=None))


def test_a_server_that_tells_no_address_is_not_local() -> None:
    assert not is_local({"type": "http"})
    assert not is_local({"type": "http", "server": None})
    assert not is_local(scope_of("/"))
    assert is_local(scope_of("/", port=None))


def test_each_option_has_its_file(tmp_path: Path) -> None:
    files = {"token_file": tmp_path / "tokens.txt", "admin_token_file": tmp_path / "admins.txt"}
    for file, token in zip(files.values(), (FIRST, SECOND), strict=True):
        file.write_text(token)
    options = {name: str(file) for name, file in files.items()}
    guard = load_guard(ServerOptions(**options, model_control=True))  # type: ignore[arg-type]
    guard.check(scope_of("/", CLIENT))
    guard.check(scope_of(CONTROL[0], ADMIN))
    off = load_guard(ServerOptions(**options))  # type: ignore[arg-type]
    off.check(scope_of("/", CLIENT))
    with pytest.raises(NotFoundError):
        off.check(scope_of(CONTROL[0], ADMIN))
    load_guard(ServerOptions()).check(scope_of("/"))
    files["admin_token_file"].write_text("short")
    with pytest.raises(SettingsError, match=f"^admin_token_file {files['admin_token_file']} has an invalid"):
        load_guard(ServerOptions(**options, model_control=True))  # type: ignore[arg-type]
