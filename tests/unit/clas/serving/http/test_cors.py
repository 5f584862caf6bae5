from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from served import Served, assert_refused, best, encoded, served

PAGE = "https://app.example"
TOKEN = "0123456789abcdef"  # noqa: S105
READ = "X-Request-ID, X-Model-Version, Server-Timing, Retry-After, Inference-Header-Content-Length"
PATHS = ("/predict/clas_system", "/v2/models/clas_system/infer", "/")


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that pages of two origins may call, with a token."""
    file = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    file.write_text(f"{TOKEN}\n")
    origins = (PAGE, "http://localhost:3000")
    with served(tiny_model, token_file=str(file), allow_origin=origins, max_request_bytes=50_000) as running:
        yield running


def preflight(service: Served, path: str, origin: str = PAGE, method: str = "POST", headers: str = "") -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return service.client.options(path, headers=asked)


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_needs_no_token_and_allows_what_clients_send(service: Served, path: str) -> None:
    headers = "authorization,content-type,inference-header-content-length,x-request-id"
    answer = preflight(service, path, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Origin" in answer.headers["Vary"]
    assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == {"GET", "HEAD", "POST"}
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(headers.split(",")) <= set(allowed)


@pytest.mark.parametrize(
    "asked",
    [{"origin": "https://evil.example"}, {"method": "DELETE"}, {"headers": "x-other"}, {"origin": "null"}],
)
def test_a_preflight_for_anything_else_is_refused(service: Served, asked: dict[str, str]) -> None:
    answer = preflight(service, PATHS[0], **asked)
    assert answer.status_code == 400
    allowed = answer.headers.get("Access-Control-Allow-Origin")
    assert allowed == (None if "origin" in asked else PAGE)


def test_preflights_are_not_counted(service: Served) -> None:
    before = service.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert preflight(service, PATHS[0]).status_code == 200
    assert preflight(service, PATHS[0], origin="https://evil.example").status_code == 400
    after = service.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert 'status="400"' not in after
    assert [line for line in before.splitlines() if PATHS[0] in line] == [
        line for line in after.splitlines() if PATHS[0] in line
    ]


def test_a_page_of_an_allowed_origin_can_read_answers_and_their_headers(service: Served) -> None:
    headers = {"Origin": PAGE, "Authorization": f"Bearer {TOKEN}"}
    answer = service.post(json=encoded(0), headers=headers)
    assert best(answer) == [0]
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Expose-Headers"] == READ
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_it_can_read_why_it_is_refused(service: Served) -> None:
    known = {"Origin": PAGE, "Authorization": f"Bearer {TOKEN}"}
    answers = {
        401: service.post(json=encoded(0), headers={"Origin": PAGE}),
        413: service.post(content=bytes(60_000), headers={**known, "Content-Type": "image/png"}),
        415: service.post(content=b"x", headers={**known, "Content-Type": "text/plain"}),
        404: service.client.get("/nothing", headers=known),
        405: service.client.get(PATHS[0], headers=known),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.models, "check_ready", lambda: 1 / 0)
        answers[500] = service.client.get("/health/ready", headers=known)
    for status, answer in answers.items():
        assert_refused(answer, status, "")
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE


def test_a_page_of_another_origin_can_not(service: Served) -> None:
    headers = {"Origin": "https://evil.example", "Authorization": f"Bearer {TOKEN}"}
    answer = service.post(json=encoded(0), headers=headers)
    assert best(answer) == [0]  # the browser keeps it from the page
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"  # a cache must not give it to others


def test_all_origins_can_be_allowed_at_once(tiny_model: Path) -> None:
    with served(tiny_model, allow_origin="*") as service:
        assert preflight(service, PATHS[0], origin="null").headers["Access-Control-Allow-Origin"] == "*"
        answer = service.post(json=encoded(1), headers={"Origin": "https://any.example"})
        assert best(answer) == [1]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_by_default_there_is_no_such_header(tiny_model: Path) -> None:
    with served(tiny_model) as service:
        assert_refused(preflight(service, PATHS[0]), 405, "OPTIONS is not allowed")
        answers = [service.post(json=encoded(1), headers={"Origin": PAGE}), preflight(service, PATHS[0])]
        for answer in answers:
            assert not [
                name for name in answer.headers if name.startswith("access-control") or name == "vary"
            ]
