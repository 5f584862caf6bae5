"""Where the standalone server listens, and what it is behind: IPv6, a path prefix, pages of other origins."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from addresses import needs_ipv6
from browser import browser
from path_proxy import path_proxy
from served import image_file
from serving_process import Running, clas_serving, eventually, run, tiny_config
from visitor import NOTE_VIOLATIONS, Page

pytestmark = pytest.mark.xdist_group("addresses")
PREFIX = "/apps/clas"
TOKEN = "a-token-for-other-origins-0123456789"  # noqa: S105
ASK = """
const [url, request, done] = arguments;
const body = Uint8Array.from(atob(request.body), (letter) => letter.charCodeAt(0));
const read = ["X-Request-ID", "Server-Timing"];
fetch(url, {...request, body}).then(
  async (answer) => done([answer.status, await answer.text(), read.map((name) => answer.headers.get(name))]),
  (error) => done(String(error)),
);
"""
PNG = base64.b64encode(image_file(1)).decode()


def run_client(repository: Path, url: str, image: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "test_hubserving.py",
            "--server_url",
            url,
            "--image_file",
            str(image),
            "--wire",
            "encoded",
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )


# IPv6


@needs_ipv6
@pytest.mark.parametrize("workers", [{}, {"use_multiprocess": True, "workers": 2}], ids=["single", "workers"])
def test_a_server_on_ipv6_is_announced_asked_and_stopped(
    tiny_model: Path, tmp_path: Path, repository: Path, image_folder: Path, workers: dict[str, Any]
) -> None:
    with clas_serving(tmp_path, config=tiny_config(tiny_model, **workers), host="[::1]") as running:
        assert f"listening at http://[::1]:{running.port}, workers: " in running.log.read_text()
        ready = f"ready: http://[::1]:{running.port}  page /ui  API /docs"
        eventually(lambda: ready in running.log.read_text())
        client = run_client(repository, running.url, image_folder / "coffee.png")
        assert client.returncode == 0, client.stderr
        assert "class_ids: [" in client.stdout
        status, health = run(tmp_path, "status"), run(tmp_path, "health")
        assert status.stdout.startswith(f"[::1]:{running.port}  process {running.process.pid}\n")
        assert (health.returncode, health.stdout) == (0, f"[::1]:{running.port}  ready\n")
        assert run(tmp_path, "stop", "-p", str(running.port), "--host", "127.0.0.1").returncode == 1
        done = run(tmp_path, "stop", "-p", str(running.port), "--host", "::1")
        assert (done.returncode, done.stdout) == (
            0,
            f"the server at port {running.port} of ::1 has stopped\n",
        )


@needs_ipv6
def test_a_server_at_all_addresses_is_reached_by_ipv4_and_ipv6(tiny_model: Path, tmp_path: Path) -> None:
    with clas_serving(tmp_path, config=tiny_config(tiny_model), host="[::]") as running:
        for host in ("127.0.0.1", "[::1]", "localhost"):
            assert requests.get(f"http://{host}:{running.port}/health/ready", timeout=30).ok
        assert f"[::]:{running.port}  process " in run(tmp_path, "status").stdout
        done = run(tmp_path, "start", "-m", "clas_system", "-p", str(running.port))
        assert done.stdout.splitlines()[-1].endswith(f"Port {running.port} is occupied, please change it.")


def test_an_address_that_is_not_this_machines_is_refused_in_brackets(tmp_path: Path) -> None:
    done = run(tmp_path, "start", "-m", "clas_system", "--host", "2001:db8::1", "-p", "1234")
    assert done.returncode == 1
    assert "SettingsError: [2001:db8::1]:1234 can't be listened at: " in done.stdout.splitlines()[-1]


def test_the_health_of_a_server_with_tls_is_asked_over_tls(tiny_model: Path, tmp_path: Path) -> None:
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    config = tiny_config(tiny_model, tls_cert_file=cert, tls_key_file=key)
    with clas_serving(tmp_path, config=config, scheme="https", verify=False):
        health = run(tmp_path, "health")
    assert health.returncode == 0
    assert health.stdout.endswith("  ready\n")


# A path prefix


@pytest.fixture(scope="module")
def prefixed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = tiny_config(tiny_model, root_path=PREFIX, forwarded_allow_ips="127.0.0.0/8")
    with clas_serving(tmp_path_factory.mktemp("prefixed"), config=config) as running:
        yield running


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOTE_VIOLATIONS})
        yield driver


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "passed on"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_under_a_prefix_the_page_classifies_and_its_commands_have_the_prefix(
    prefixed: Running, driver: Chrome, image_folder: Path, repository: Path, strips: bool, slash: str
) -> None:
    with path_proxy(prefixed.base, PREFIX, strips=strips) as base:
        page = Page(driver, base)
        page.driver.get(f"{base}/ui{slash}")
        eventually(lambda: page.one("#state").get_attribute("data-state") == "Ready")
        assert page.driver.current_url == f"{base}/ui{slash}"
        page.upload(image_folder / "coffee.png")
        [card] = page.cards("done", 1)
        card.find_element(By.CSS_SELECTOR, ".show-request").click()
        assert all(f"{base}/predict/clas_system" in code for code in page.codes())
        assert page.run("return arguments[0].naturalWidth", page.one(".logo")) > 0
        assert page.violations() == []
        client = run_client(repository, f"{base}/predict/clas_system", image_folder / "coffee.png")
        assert client.returncode == 0, client.stderr


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "passed on"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_under_a_prefix_the_documentation_asks_the_server(
    prefixed: Running, driver: Chrome, strips: bool, slash: str
) -> None:
    with path_proxy(prefixed.base, PREFIX, strips=strips) as base:
        page = Page(driver, base)
        page.driver.get(f"{base}/docs{slash}")

        def shown(selector: str) -> Any:
            return eventually(lambda: page.all(selector))[0]

        for selector in (".opblock-summary-control", ".try-out__btn", ".execute"):
            shown(f".opblock-get {selector}").click()
        assert shown(".live-responses-table .response .response-col_status").text.startswith("200")
        assert f"{base}/" in shown(".request-url pre").text
        page.one("nav a").click()
        eventually(lambda: page.driver.current_url == f"{base}/ui")
        assert page.violations() == []


def test_a_proxy_that_is_trusted_says_another_prefix(prefixed: Running) -> None:
    with path_proxy(prefixed.base, "/other", says="/other") as base:
        told = requests.get(f"{base}/", timeout=30).json()
        assert told["predict"] == "/other/predict/clas_system"
        [server] = requests.get(f"{base}/openapi.json", timeout=30).json()["servers"]
        assert server == {"url": "/other"}
    with path_proxy(prefixed.base, PREFIX, says='//evil.example/"><script>') as base:
        assert requests.get(f"{base}/", timeout=30).json()["ui"] == f"{PREFIX}/ui"


# Pages of other origins


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a page without a Content-Security-Policy."""
    directory = tmp_path_factory.mktemp("page")
    (directory / "index.html").write_text("<!DOCTYPE html><title>elsewhere</title>")
    handler = partial(Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def asked_from(driver: Chrome, origin: str, url: str, **request: Any) -> Any:
    driver.get(f"{origin}/")
    return driver.execute_async_script(ASK, url, request)


@pytest.mark.parametrize("is_allowed", [True, False])
def test_only_a_page_of_an_allowed_origin_classifies(
    tiny_model: Path, tmp_path: Path, driver: Chrome, elsewhere: str, is_allowed: bool
) -> None:
    (tmp_path / "tokens").write_text(TOKEN)
    origins = [elsewhere] if is_allowed else ["https://other.example"]
    config = tiny_config(tiny_model, token_file=str(tmp_path / "tokens"), allow_origin=origins)
    with clas_serving(tmp_path, config=config) as running:
        ask = partial(asked_from, driver, elsewhere, f"{running.base}/predict/clas_system", method="POST")
        kind = {"Content-Type": "image/png", "X-Request-ID": "from-the-page"}
        known = {**kind, "Authorization": f"Bearer {TOKEN}"}
        answers = [ask(headers=headers, body=PNG) for headers in (known, kind)]
    if not is_allowed:
        assert answers == ["TypeError: Failed to fetch"] * 2
        return
    (status, text, headers), refused = answers
    assert (status, '"status":"000"' in text, headers[0]) == (200, True, "from-the-page")
    assert headers[1].startswith("prepare;dur=")
    assert (refused[0], "a valid token is needed" in refused[1]) == (401, True)
