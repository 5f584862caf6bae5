import json
import math

import pytest

from clas_client.reply import Reply, ServiceError, in_one_line


def reply(body: bytes) -> Reply:
    return Reply(200, "application/json", body)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_encodings_of_json_are_read(encoding: str) -> None:
    assert reply('{"名": [1, 2.5, null]}'.encode(encoding)).json() == {"名": [1, 2.5, None]}


@pytest.mark.parametrize("body", [b"", b"<h1>", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"a":'])
def test_what_is_no_json_is_said(body: bytes) -> None:
    with pytest.raises(ServiceError, match=r"^the server answered HTTP 200 \(application/json\), not JSON$"):
        reply(body).json()


@pytest.mark.parametrize("value", [math.nan, -math.inf, {"a": [math.nan]}])
def test_nan_and_infinity_are_no_values(value: object) -> None:
    with pytest.raises(ServiceError, match="answered HTTP 200 with NaN, infinity, or more"):
        reply(json.dumps(value).encode()).json()


@pytest.mark.parametrize("body", [b"1e999", b"[" * 33 + b"]" * 33, b'{"a":' * 900 + b"1" + b"}" * 900])
def test_what_could_not_be_written_again_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError, match="or more than 32 lists and objects in one another"):
        reply(body).json()


def test_the_refusal_of_a_token_names_the_flag() -> None:
    assert Reply(401, "", b"").hint == "; --token_file names the file that holds the token"
    assert reply(b"").hint == ""


def test_a_foreign_text_becomes_one_short_line() -> None:
    assert in_one_line("a\n\x1b[31mb\r\n  c\u2028d") == "a [31mb c d"
    assert len(in_one_line("x" * 10_000)) == 2000
