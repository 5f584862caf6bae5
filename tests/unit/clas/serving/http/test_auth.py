import os
import re
from pathlib import Path

import pytest

from clas.errors import SettingsError, UnauthorizedError
from clas.serving.http.auth import Tokens, load_tokens

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
