"""The choice of a model on the web page of the standalone server, in a real browser."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from browser import browser
from clas.commandline.csv_rows import CSV
from known_answers import PHOTOGRAPHS
from serving_process import Running, clas_serving, eventually
from tiny_models import write_model
from visitor import LEAST_CONTRAST, NOTE_VIOLATIONS, WIDER_THAN_THE_WINDOW, Page

pytestmark = pytest.mark.xdist_group("page")
ADMIN = "an-admin-of-models-0123456789"
REASON = "there is no model: inference_model_dir is 'folder'"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOTE_VIOLATIONS})
        yield opened


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of six and nine classes, and one whose folder isn't there."""
    folder = tmp_path_factory.mktemp("models")
    sizes = {"six": 6, "nine.v2": 9}
    written = {name: write_model(folder / name, num_classes=size) for name, size in sizes.items()}
    return {**written, "gone": folder / "secret" / "folder"}


def config_of(models: dict[str, Path], **top_level: Any) -> dict[str, Any]:
    """A configuration with these models; that of nine classes resizes to 64, and has no labels that fit."""
    modules: dict[str, dict[str, Any]] = {}
    for name, folder in models.items():
        sizes = {"crop_size": 32, "resize_short": 32, "cpu_num_threads": 1, "class_id_map_file": ""}
        modules[name] = {"init_args": {"inference_model_dir": str(folder), **sizes}, "predict_args": {}}
    if "nine.v2" in modules:
        modules["nine.v2"]["init_args"]["resize_short"] = 64
        del modules["nine.v2"]["init_args"]["class_id_map_file"]  # ImageNet's, by default
        modules["nine.v2"]["predict_args"]["top_k"] = 2
    return {"modules_info": modules, **top_level}


@pytest.fixture(scope="module")
def server(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with clas_serving(tmp_path_factory.mktemp("server"), config=config_of(models)) as running:
        yield running


@pytest.fixture
def page(server: Running, driver: Chrome) -> Iterator[Page]:
    opened = Page(driver, server.base).open()
    yield opened
    assert opened.violations() == []


def follow(page: Page, address: str) -> None:
    """Come by a link, as a new visitor."""
    page.open(ready=False)
    page.driver.get(f"{page.base}{address}")


def choose(page: Page, name: str) -> None:
    page.one("#model").click()
    page.one(f'#model option[value="{name}"]').click()


def chosen(page: Page) -> str | None:
    return page.one("#model").get_property("value")  # type: ignore[return-value]


def texts_in(element: WebElement, selector: str) -> list[str]:
    return [found.text for found in element.find_elements(By.CSS_SELECTOR, selector)]


def facts(page: Page) -> dict[str, str]:
    return dict(zip(page.texts("#facts dt"), page.texts("#facts dd"), strict=True))


def width_of_frame(page: Page) -> float:
    """As a share of the image's height."""
    return float(page.one(".seen").rect["width"] / page.one(".card img").rect["height"])


def test_another_model_is_asked_about_all_images(
    page: Page, server: Running, image_folder: Path, tmp_path: Path
) -> None:
    files = [image_folder / name for name in PHOTOGRAPHS]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    page.upload(*files, broken)
    page.cards("done", 3)
    assert (chosen(page), facts(page)["Classes"]) == ("six", "6")
    assert page.one("#top-k").get_attribute("max") == "6"
    assert len(page.all(".results li")) == 15  # the five best of each
    assert width_of_frame(page) == pytest.approx(1, abs=0.02)
    assert not page.one("#warnings").is_displayed()
    choose(page, "nine.v2")
    page.cards("done", 3)
    page.cards("failed", 1)
    assert server.metric("clas_images_total", model="nine.v2") == 3
    assert (chosen(page), facts(page)["Classes"]) == ("nine.v2", "9")
    assert page.one("#top-k").get_attribute("max") == "9"
    assert len(page.all(".results li")) == 6  # its top_k is 2
    assert width_of_frame(page) == pytest.approx(0.5, abs=0.02)
    assert page.texts("#warnings li")[0].startswith("the built-in label list isn't used")
    lines = [CSV.header]
    for file in files:
        answer = requests.post(
            f"{server.base}/predict/nine.v2?top_k=2",
            file.read_bytes(),
            headers={"Content-Type": "image/png"},
            timeout=60,
        )
        lines.append(CSV.write(file.name, answer.json()["results"]["prediction"][0]))
    saved = page.saves("results-nine.v2.csv", tmp_path / "saved", page.one("#csv").click)
    assert saved.decode().splitlines()[:4] == lines


def test_the_number_of_results_that_the_visitor_has_set_stays(page: Page, image_folder: Path) -> None:
    page.upload(image_folder / "coffee.png")
    page.cards("done", 1)
    page.set_slider(4)
    for name in ("nine.v2", "six"):
        choose(page, name)
        page.cards("done", 1)
        assert len(page.all(".results li")) == 4


def test_the_shown_commands_ask_the_chosen_model(page: Page, image_folder: Path) -> None:
    choose(page, "nine.v2")
    page.upload(image_folder / "coffee.png")
    page.cards("done", 1)
    page.one(".show-request").click()
    curl, python = page.codes()
    assert "/predict/nine.v2?top_k=2'" in curl
    for command in (["bash", "-c", curl], [sys.executable, "-c", python]):
        done = subprocess.run(command, cwd=image_folder, capture_output=True, text=True, check=True)
        answer = ast.literal_eval(done.stdout)
        [entry] = answer.get("results", answer)["prediction"]
        assert [f"Class {number}" for number in entry["class_ids"]] == page.texts(".card .label")


def test_the_choice_is_in_the_address_and_kept_for_the_tab(page: Page, driver: Chrome) -> None:
    assert driver.current_url == f"{page.base}/ui"
    choose(page, "nine.v2")
    address = f"{page.base}/ui?model=nine.v2"
    assert driver.current_url == address
    assert driver.title == "nine.v2 · Image classification"
    driver.refresh()
    eventually(lambda: chosen(page) == "nine.v2")
    driver.get(f"{page.base}/docs")
    page.one("nav a").click()
    eventually(lambda: driver.current_url == f"{page.base}/ui")
    eventually(lambda: chosen(page) == "nine.v2")
    follow(page, "/ui?model=six")
    driver.get(f"{page.base}/ui")
    eventually(lambda: chosen(page) == "six")


def test_a_model_that_can_not_be_loaded_says_why_and_can_not_be_chosen(page: Page) -> None:
    gone = page.one('#model option[value="gone"]')
    assert not gone.is_enabled()
    page.one("#model").click()
    said = "\n".join(texts_in(gone, "span"))
    assert said.startswith(f"gone\n\nCan't be loaded: {REASON}")
    assert len(said) < 120
    gone.click()
    assert chosen(page) == "six"
    page.press(Keys.ESCAPE)


def test_all_models_are_listed_with_their_state_address_and_version(page: Page, server: Running) -> None:
    described = requests.get(server.base, timeout=30).json()["models"]
    rows = page.all("#models li")
    assert [row.get_attribute("aria-current") for row in rows] == ["true", "false", "false"]
    for row, model in zip(rows, described, strict=True):
        name, state, version = texts_in(row, "li > span")
        assert (name, texts_in(row, "code")) == (model["name"], [model["predict"]])
        if model["state"] == "ready":
            assert (state, version) == ("Ready", f"version {model['version']}")
            [link] = row.find_elements(By.TAG_NAME, "a")
            assert link.get_attribute("href") == f"{page.base}/ui?model={name}"
        else:
            assert state == f"Can't be loaded: {model['reason']}"
            assert not row.find_elements(By.TAG_NAME, "a")
    page.run("window.isSamePage = true")
    page.one('#models [href$="nine.v2"]').click()
    assert chosen(page) == "nine.v2"
    assert page.run("return window.isSamePage && scrollY") == 0
    current = [row.get_attribute("aria-current") for row in page.all("#models li")]
    assert current == ["false", "true", "false"]


def test_a_link_to_a_model_that_does_not_answer_says_so_until_another_one_is_chosen(
    page: Page, server: Running, image_folder: Path
) -> None:
    cases = {"gone": f"gone: Can't be loaded: {REASON}", "never": "never: Not on this server"}
    before = server.metric("clas_requests_total", status="404")
    for name, said in cases.items():
        follow(page, f"/ui?model={name}")
        page.upload(image_folder / "coffee.png")
        page.cards("failed", 1)
        assert page.texts(".failure strong") == ["This model isn't available"]
        assert page.texts(".detail") == ["Choose another one."]
        assert chosen(page) == name
        [warning] = page.texts("#warnings li")
        assert warning.startswith(said)
        assert page.one("#state").text in ("Can't be loaded", "Not on this server")
        choose(page, "six")
        page.cards("done", 1)
        assert page.one("#state").text == "Ready"
        assert not page.one("#warnings").is_displayed()
    assert "never" not in page.texts("#models .model-name")
    assert server.metric("clas_requests_total", status="404") == before


@pytest.mark.parametrize("name", ["..", "a/b", "x" * 65, ""])
def test_what_can_not_be_a_models_name_is_passed_over_in_the_address(page: Page, name: str) -> None:
    follow(page, f"/ui?model={name}")
    eventually(lambda: chosen(page) == "six")


def test_the_choice_is_made_with_the_keyboard(page: Page) -> None:
    page.run("document.getElementById('model').focus()")
    page.press(Keys.ENTER, Keys.DOWN, Keys.ENTER)
    eventually(lambda: chosen(page) == "nine.v2")
    assert page.focused() == page.one("#model")
    assert page.one("#model").accessible_name == "Model"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_choice_and_the_list_stand_out_from_their_ground(page: Page, scheme: str) -> None:
    page.prefer(scheme)
    page.one("#model").click()
    eventually(page.one('#model option[value="gone"]').is_displayed)
    eventually(lambda: page.run(LEAST_CONTRAST)[0][0] >= 4.5)  # some colours change over a moment
    found = page.run(LEAST_CONTRAST)
    page.prefer("light")
    assert {"six", "nine.v2", "gone"} <= {text for _, text in found}
    page.press(Keys.ESCAPE)


def test_the_choice_and_the_list_are_in_both_languages_and_as_wide_as_the_window(page: Page) -> None:
    try:
        for _ in range(2):
            for width in (320, 390, 768, 1280):
                page.resize(width)
                assert page.run(WIDER_THAN_THE_WINDOW) == []
                page.one("#model").click()
                assert page.run(WIDER_THAN_THE_WINDOW) == []
                boxes = [option.rect for option in page.all("#model option")]
                assert min(box["x"] for box in boxes) >= 0
                page.press(Keys.ESCAPE)
            page.one("#language").click()
        page.one("#language").click()
        states = page.texts("#models .model-state")
        assert states[0] == "就绪"
        assert states[2].startswith("无法加载：")
        assert re.search("[\u4e00-\u9fff]", page.one("#models-part h3").text)
        assert page.one(".model-field label").text == "模型"
    finally:
        page.resize(1200)


# Models that come, go, and are under way


def test_what_is_under_way_when_another_model_is_chosen_is_cancelled(
    models: dict[str, Path], driver: Chrome, image_folder: Path, tmp_path: Path
) -> None:
    config = config_of({name: models[name] for name in ("six", "nine.v2")})
    for module in config["modules_info"].values():
        module["init_args"]["engine"] = "paddle"  # in processes, which can be held
    with clas_serving(tmp_path, "--predictors", "1", config=config) as running:
        page = Page(driver, running.base).open()
        with running.held() as go_on:
            for _ in range(2):
                page.upload(*(image_folder / name for name in PHOTOGRAPHS))
            page.cards("sending", 4)
            eventually(lambda: running.metric("clas_queue_images", model="six") == 4)
            choose(page, "nine.v2")
            eventually(lambda: running.metric("clas_queue_images", model="six") == 0)
            eventually(lambda: running.metric("clas_queue_images", model="nine.v2") == 4)
            assert page.one("#summary").text == "0 of 6 done"
            go_on()
            page.cards("done", 6)
        assert len(page.all(".results li")) == 12
        assert running.metric("clas_images_total", model="six") == 0
        assert running.metric("clas_images_total", model="nine.v2") == 6


def test_a_model_that_is_loaded_when_it_is_asked_gets_its_slider_then(
    models: dict[str, Path], driver: Chrome, image_folder: Path, tmp_path: Path
) -> None:
    config = config_of({name: models[name] for name in ("six", "nine.v2")}, max_loaded_models=1)
    with clas_serving(tmp_path, config=config) as running:
        page = Page(driver, running.base).open()
        choose(page, "nine.v2")
        eventually(lambda: page.one("#state").text == "Loads when it is used")
        assert not page.one("#top-k-field").is_displayed()
        assert "Classes" not in facts(page)
        for _ in range(2):  # more than are sent at once
            page.upload(*(image_folder / name for name in PHOTOGRAPHS))
        page.cards("done", 6)
        eventually(page.one("#top-k-field").is_displayed)
        eventually(lambda: page.one("#state").text == "Ready")
        page.set_slider(7)
        eventually(lambda: len(page.all(".results li")) == 42)
        assert facts(page)["Classes"] == "9"
        choose(page, "six")
        page.cards("done", 6)
        eventually(lambda: page.texts("#models .model-state") == ["Ready", "Loads when it is used"])
        choose(page, "nine.v2")  # what it was is known now, though it isn't in memory
        assert page.one("#top-k").get_attribute("max") == "9"
        page.cards("done", 6)
        assert page.violations() == []


def test_models_that_come_and_go_are_seen_without_changing_what_is_chosen(
    models: dict[str, Path], driver: Chrome, image_folder: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "admin"
    tokens.write_text(ADMIN)
    repository = tmp_path / "repository"
    repository.mkdir()
    flags = ["--model", f"six={models['six']}", "--crop_size", "32", "--resize_short", "32"]
    flags += ["--class_id_map_file", "", "--model_repository", str(repository)]
    flags += ["--model_control", "--admin_token_file", str(tokens)]

    def change(name: str, how: str) -> None:
        url = f"{running.base}/v2/repository/models/{name}/{how}"
        done = requests.post(url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=60)
        assert done.status_code == 200, done.text

    with clas_serving(tmp_path, *flags) as running:
        page = Page(driver, running.base).open()
        assert not page.one("#model-field").is_displayed()
        assert not page.one("#models-part").is_displayed()
        page.upload(image_folder / "coffee.png")
        page.cards("done", 1)
        write_model(repository / "nine", num_classes=9)
        change("nine", "load")
        eventually(page.one("#model-field").is_displayed, 15)
        assert chosen(page) == "six"
        before = page.labels(page.one(".card"))
        change("six", "unload")
        page.upload(image_folder / "rocket.jpg")
        page.cards("failed", 1)
        assert page.labels(page.one(".card")) == before
        eventually(lambda: page.one("#state").text == "Unloaded")
        assert page.texts("#warnings li") == ["six: Unloaded"]
        Select(page.one("#model")).select_by_value("nine")
        page.cards("done", 2)
        assert running.metric("clas_images_total", model="nine") == 2
