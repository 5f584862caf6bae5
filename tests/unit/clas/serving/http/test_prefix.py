import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from clas.protocol import MODELS_PATH, MODULE_NAME, PREDICT_PATH
from clas.serving.web_options import OWN_SEGMENTS
from served import Served, assert_refused, best, encoded, served

PROXY = ("192.0.2.7", 1234)


@pytest.fixture(scope="module")
def service(tiny_model: Path) -> Iterator[Served]:
    """One behind /clas, which believes two proxies."""
    trusted = ("192.0.2.7", "2001:db8::/32")
    with served(tiny_model, root_path="/clas", forwarded_allow_ips=trusted) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> Iterator[Served]:
    with served(tiny_model) as running:
        yield running


def test_a_proxy_may_strip_the_prefix_or_pass_it_on(service: Served) -> None:
    for prefix in ("", "/clas"):
        assert best(service.client.post(f"{prefix}{PREDICT_PATH}", json=encoded(2))) == [2]
        assert service.client.get(f"{prefix}/health/ready").json() == {"status": "ready"}
        assert service.client.get(f"{prefix}/ui/assets/app.js").status_code == 200
        assert service.client.get(f"{prefix}{MODELS_PATH}/{MODULE_NAME}").json()["name"] == MODULE_NAME


@pytest.mark.parametrize("path", ["/", "/clas", "/clas/"])
def test_what_the_server_says_of_its_addresses_has_the_prefix(service: Served, path: str) -> None:
    told = service.client.get(path).json()
    assert [told[name] for name in ("predict", "docs", "ui")] == [
        f"/clas{PREDICT_PATH}",
        "/clas/docs",
        "/clas/ui",
    ]


def test_the_description_of_the_api_has_the_prefix(service: Served, plain: Served) -> None:
    assert service.client.get("/clas/openapi.json").json()["servers"] == [{"url": "/clas"}]
    assert "servers" not in plain.client.get("/openapi.json").json()


def test_a_refused_path_is_told_where_predictions_are(service: Served) -> None:
    for path in ("/clas/nothing", "/nothing"):
        wanted = f"there is nothing at /nothing; predictions are at /clas{PREDICT_PATH}"
        assert_refused(service.client.get(path), 404, wanted)
    assert_refused(service.client.post("/clas/"), 405, "POST is not allowed for /; predictions are at /clas/")


@pytest.mark.parametrize(
    "path", [f"/class{PREDICT_PATH}", f"/clas/clas{PREDICT_PATH}", f"/CLAS{PREDICT_PATH}"]
)
def test_another_prefix_is_none(service: Served, path: str) -> None:
    assert_refused(service.client.post(path, json=encoded(0)), 404, "there is nothing at /")


def test_requests_are_counted_and_guarded_by_the_path_without_prefix(
    tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("0123456789abcdef\n")
    with served(tiny_model, root_path="/clas", token_file=str(tmp_path / "tokens")) as service:
        assert service.client.get("/clas/health/live").status_code == 200
        assert service.client.get("/clas/ui").status_code == 200
        assert_refused(service.client.get("/clas/metrics"), 401, "a valid token is needed")
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        metrics = service.client.get("/clas/metrics", headers=headers).text
    assert 'clas_requests_total{model="",path="/health/live",status="200"} 1.0' in metrics


def told(service: Served, client: tuple[str, int], **headers: str | list[str]) -> str:
    """What a server takes for its prefix, by its answer to a proxy."""
    sent = [(name.replace("_", "-"), value) for name, values in headers.items() for value in listed(values)]
    with_address = TestClient(service.app, client=client)  # no lifespan: the application runs already
    answer = with_address.get("/", headers=sent)
    predict: str = answer.json()["predict"]
    return predict.removesuffix(PREDICT_PATH)


def listed(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values


@pytest.mark.parametrize(
    "address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"], ids=["IPv4", "IPv4 at ::", "IPv6"]
)
def test_a_trusted_proxy_says_what_it_has_stripped(service: Served, address: str) -> None:
    for sent, prefix in (("/gpu/2", "/gpu/2"), ("/gpu/", "/gpu"), ("/", ""), ("", "")):
        assert told(service, (address, 1), X_Forwarded_Prefix=sent) == prefix
    assert told(service, (address, 1)) == "/clas"


@pytest.mark.parametrize(
    "address", ["192.0.2.8", "::ffff:192.0.2.8", "2001:db9::1", "testclient", "127.0.0.1"]
)
def test_nobody_else_is_believed(service: Served, address: str) -> None:
    assert told(service, (address, 1), X_Forwarded_Prefix="/gpu") == "/clas"


def test_without_trusted_proxies_nobody_is_believed(tiny_model: Path, plain: Served) -> None:
    with served(tiny_model, root_path="/clas") as service:
        assert told(service, PROXY, X_Forwarded_Prefix="/gpu") == "/clas"
    assert told(plain, PROXY, X_Forwarded_Prefix="/gpu") == ""


@pytest.mark.parametrize(
    "sent",
    [
        *("//evil.example", "https://evil.example", "/a/../b", "/..", '/"><script>', "/a b", "/a,/b", "clas"),
        *(["/a", "/b"], "/a%2e", "/" + "x" * 300 + "!"),
    ],
)
def test_a_prefix_that_could_do_harm_is_ignored_and_said_once(
    tiny_model: Path, caplog: pytest.LogCaptureFixture, sent: str | list[str]
) -> None:
    with (
        served(tiny_model, root_path="/clas", forwarded_allow_ips="192.0.2.0/24") as service,
        caplog.at_level(logging.WARNING, "clas_system"),
    ):
        for _ in range(2):
            assert told(service, PROXY, X_Forwarded_Prefix=sent) == "/clas"
    [said] = [text for text in caplog.messages if text.startswith("X-Forwarded-Prefix is ignored: it is ")]
    assert said.endswith(", and takes one path such as /clas")
    assert len(said) < 300


def test_a_header_opens_no_second_way_to_an_address(service: Served) -> None:
    """Else a proxy that lets nobody ask at /metrics would let /x/metrics pass."""
    client = TestClient(service.app, client=PROXY)
    assert_refused(client.get("/x/metrics", headers={"X-Forwarded-Prefix": "/x"}), 404, "there is nothing")


def test_no_prefix_can_be_the_servers_own(plain: Served) -> None:
    """It would be taken off where nobody has put it."""
    paths = [getattr(route, "path", "") for route in plain.app.routes]
    assert {path.split("/")[1] for path in paths} == {"", *OWN_SEGMENTS}


@pytest.mark.parametrize(
    "path",
    [
        *("/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/ui", "/v2"),
        *("/v2/health/ready", MODELS_PATH + "/stats", f"{MODELS_PATH}/{MODULE_NAME}", "/ui/assets/app.js"),
        *(f"{MODELS_PATH}/{MODULE_NAME}/{name}" for name in ("ready", "stats", "config")),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/clas"])
def test_an_address_may_end_in_a_slash(service: Served, prefix: str, path: str) -> None:
    answers = [service.client.get(f"{prefix}{path}{slash}", follow_redirects=False) for slash in ("", "/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].headers["Content-Type"] == answers[1].headers["Content-Type"]


def test_the_address_of_inference_may_end_in_a_slash(plain: Served) -> None:
    path = f"{MODELS_PATH}/{MODULE_NAME}"
    [described] = plain.client.get(path).json()["inputs"]
    item = {
        "name": described["name"],
        "shape": [1, 3, 32, 32],
        "datatype": "FP32",
        "data": [0.0] * (3 * 32 * 32),
    }
    answers = [
        plain.client.post(f"{path}/infer{slash}", json={"inputs": [item]}, follow_redirects=False)
        for slash in ("", "/")
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    first, second = (answer.json()["outputs"] for answer in answers)
    assert first == second


@pytest.mark.parametrize("path", ["/health/ready//", "/ui//", "/docs/assets", "/health", "//health/ready"])
def test_nothing_is_redirected(plain: Served, path: str) -> None:
    answer = plain.client.get(f"http://testserver{path}", follow_redirects=False)
    assert_refused(answer, 404, "there is nothing at /")


def test_an_address_with_a_slash_needs_its_token_and_is_counted_as_the_one_without(
    tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("0123456789abcdef\n")
    with served(tiny_model, token_file=str(tmp_path / "tokens")) as service:
        for path in ("/health/live/", "/docs/", "/ui/"):
            assert service.client.get(path).status_code == 200
        assert_refused(service.client.get("/metrics/"), 401, "a valid token is needed")
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        metrics = service.client.get("/metrics/", headers=headers).text
    assert 'clas_requests_total{model="",path="/metrics",status="401"} 1.0' in metrics
