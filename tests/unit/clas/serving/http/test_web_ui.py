import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from clas.protocol import MODULE_NAME, PREDICTIONS_PATH
from clas.serving.http.web_ui import ASSETS_PATH, UI_PATH
from page_tables import read_table, translate
from served import Served, assert_refused, encoded, served

SCRIPTS = (
    *("api.js", "app.js", "conversion.js", "csv.js", "dialogs.js", "gallery.js", "gallery_card.js"),
    *("i18n.js", "image_input.js", "image_view.js", "model_choice.js", "model_list.js", "model_state.js"),
    *("queue.js", "reasons.js", "result_rows.js", "service_panel.js", "snippets.js", "translator.js"),
    *("updates.js", "warnings.js"),
)
NOT_THE_SERVERS = (
    *("files.py", "still.py", "tiff.py"),
    *("given.py", "conversion.py", "pillow_formats.py"),
)
"""Modules of clas/image that the server doesn't reach, or that only put messages together."""


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that wants a token."""
    file = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    file.write_text("0123456789abcdef\n")
    with served(tiny_model, token_file=str(file)) as running:
        yield running


@pytest.fixture(scope="module")
def ui(repository: Path) -> Path:
    return repository / "clas" / "serving" / "http" / "ui"


def texts(ui: Path) -> dict[str, dict[str, str]]:
    """Language -> key -> text."""
    languages: dict[str, dict[str, str]] = {}
    for line in (ui / "i18n.js").read_text(encoding="utf-8").splitlines():
        if begun := re.fullmatch(r"  (en|zh): \{", line):
            words = languages[begun[1]] = {}
        elif entry := re.fullmatch(r'    (\w+): "(.*)",', line):
            assert entry[1] not in words, entry[1]
            words[entry[1]] = entry[2]
    return languages


@pytest.mark.parametrize("path", [UI_PATH, *(f"{ASSETS_PATH}/{name}" for name in ("ui.css", "app.js"))])
def test_the_page_and_its_files_are_open_and_strictly_bounded(service: Served, path: str) -> None:
    response = service.client.get(path)
    assert response.status_code == 200
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"
    assert "ETag" in response.headers


def test_with_the_page_open_the_interface_still_wants_its_token(service: Served) -> None:
    assert_refused(service.client.get("/"), 401, "a valid token is needed")
    assert_refused(service.post(json=encoded(0)), 401, "a valid token is needed")
    for path in ("/uix", "/ui-", "/u"):
        assert_refused(service.client.get(path), 401, "a valid token is needed")


@pytest.mark.parametrize("path", ["none.js", "", "..%2F..%2Fconfig.json", "%2e%2e/%2e%2e/config.json", "%00"])
def test_there_is_nothing_but_the_files_of_the_page(service: Served, path: str) -> None:
    assert_refused(service.client.get(f"{ASSETS_PATH}/{path}"), 404, "there is nothing at /")


def test_each_file_that_the_page_names_is_there_with_its_type(service: Served) -> None:
    page = service.client.get(UI_PATH).text
    named = set(re.findall(r'(?:src|href)="ui/assets/([^"]+)"', page))
    assert {"app.js", "ui.css", "icon.svg"} == named
    for script in SCRIPTS:
        response = service.client.get(f"{ASSETS_PATH}/{script}")
        assert "javascript" in response.headers["Content-Type"]
        named |= set(re.findall(r'from "\./([^"]+)"', response.text))
    assert named == {*SCRIPTS, "ui.css", "icon.svg"}


@pytest.mark.parametrize("path", ["/ui", "/docs"])
def test_with_a_slash_behind_its_address_a_page_finds_the_same_files(service: Served, path: str) -> None:
    """The addresses in it are relative, and begin one level deeper then."""

    def addresses(page: str) -> list[str]:
        html = service.client.get(page).text
        return [urljoin(page, address) for address in re.findall(r'(?:src|href)="([^"]+)"', html)]

    found = addresses(path)
    assert len(found) >= 5
    assert addresses(f"{path}/") == found
    for address in found:
        assert service.client.get(address).status_code == 200
    headers = [service.client.get(f"{path}{slash}").headers for slash in ("", "/")]
    names = ("Content-Type", "Content-Security-Policy", "Cache-Control", "X-Frame-Options")
    assert [headers[0][name] for name in names] == [headers[1][name] for name in names]


def test_browsers_find_the_icon_without_a_page(service: Served) -> None:
    response = service.client.get("/favicon.ico")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/svg+xml")
    assert response.text.startswith("<svg")


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(service: Served, ui: Path) -> None:
    page = service.client.get(UI_PATH).text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]* src=)", page)
    for file in ui.iterdir():
        found = re.findall(r"https?://[^\s\"']+", file.read_text(encoding="utf-8"))
        assert set(found) <= {"http://www.w3.org/2000/svg"}, file.name


def test_the_page_asks_where_the_server_answers(ui: Path) -> None:
    scripts = [(ui / name).read_text() for name in ("api.js", "model_choice.js")]
    assert f'"{PREDICTIONS_PATH.removeprefix("/")}"' in scripts[0]
    assert f'"{MODULE_NAME}"' in scripts[1]


def test_both_languages_have_the_same_texts_with_the_same_places_to_fill(ui: Path) -> None:
    both = texts(ui)
    assert both["en"].keys() == both["zh"].keys()
    assert len(both["en"]) > 60
    for key, english in both["en"].items():
        places = [sorted(re.findall(r"\{\w+\}", text)) for text in (english, both["zh"][key])]
        assert places[0] == places[1], key
        assert english.strip(), key
        assert both["zh"][key].strip(), key


def test_every_text_is_used_and_every_text_that_is_used_is_there(ui: Path) -> None:
    keys = texts(ui)["en"].keys()
    page = (ui / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'data-(?:text|label)="(\w+)"', page)) <= keys
    scripts = "".join((ui / name).read_text() for name in SCRIPTS if name != "i18n.js")
    assert set(re.findall(r'\bt\("(\w+)"', scripts)) <= keys
    # Those that are put together: state..., error_..., phase_...; and the states of a card.
    made = {key for key in keys if re.match(r"state[A-Z]|error_|phase_", key)}
    made |= {"waiting", "sending", "retrying"}
    used = set(re.findall(r'"(\w+)"', page + scripts)) | made
    assert keys <= used


def reasons(image: Path) -> Iterator[str]:
    """Why an image is refused, by the code that does it; each value that is filled in as 7."""
    for file in sorted(image.glob("*.py")):
        if file.name in NOT_THE_SERVERS:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
            if name not in ("damaged", "unsupported", "ImageError"):
                continue
            text = filled(call.args[0])  # type: ignore[attr-defined]
            if text is not None:
                yield f"{text} isn't supported" if name == "unsupported" else text


def filled(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            "7" if isinstance(part, ast.FormattedValue) else filled(part) or "" for part in node.values
        )
    return None


def test_every_reason_for_refusing_an_image_is_known_in_chinese(repository: Path, ui: Path) -> None:
    table = read_table(ui / "reasons.js")
    found = list(reasons(repository / "clas" / "image"))
    assert len(found) > 30
    unknown = {text for text in found if translate(table, text) == text}
    # Of arrays that no file becomes, and of nobody's request.
    assert unknown == {"Pillow can't resize 7 of shape 7", "the rest of the file isn't read"}


def test_an_installed_package_carries_the_page(repository: Path, ui: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    patterns = setup["options.package_data"]["clas.serving.http"].split(", ")
    carried = {file for pattern in patterns for file in ui.parent.glob(pattern)}
    assert carried == {file for file in ui.rglob("*") if file.is_file()}
