"""The page of --report in a real browser, written by the client against a real standalone server."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

import test_hubserving
from browser import browser
from clas.commandline.report.html_report import HtmlReport
from clas.output.base import Prediction, failed_prediction
from clas_client.sink import Outcome, Pending
from evaluations import entry, evaluate
from serving_process import clas_serving, eventually, tiny_config

pytestmark = pytest.mark.xdist_group("report page")
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "soft red": (40, 40, 255)}  # blue, green, red


@pytest.fixture(scope="module")
def page(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a few images of one colour and a file that is none."""
    directory = tmp_path_factory.mktemp("report")
    folder = directory / "<b>images"
    folder.mkdir()
    for name, colour in COLOURS.items():
        image = np.full((48, 64, 3), colour, np.uint8)
        (folder / f"{name}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    (folder / "broken.png").write_text("no image")
    config = tiny_config(tiny_model)
    config["modules_info"]["clas_system"]["predict_args"] = {"top_k": 3}
    with clas_serving(directory, config=config) as server:
        sizes = ["--resize_short", "32", "--crop_size", "32", "--report", str(directory / "page.html")]
        flags = ["--server_url", server.url, "--image_file", str(folder), *sizes]
        assert test_hubserving.main(flags) == 1
    return directory / "page.html"


@pytest.fixture(scope="module", params=["en-US", "zh-CN"])
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile"), language=request.param) as opened:
        yield opened


def names(driver: Chrome) -> list[str]:
    return [element.text for element in driver.find_elements(By.CSS_SELECTOR, "#images > li h2")]


def enter(driver: Chrome, field: str, value: str) -> None:
    element = driver.find_element(By.ID, field)
    element.clear()
    element.send_keys(value)


def test_images_are_shown_sorted_and_filtered(driver: Chrome, page: Path) -> None:
    driver.get(page.as_uri())
    is_chinese = driver.execute_script("return navigator.language").startswith("zh")
    assert names(driver) == ["green.png", "red.png", "soft red.png", "broken.png"]
    assert driver.find_element(By.ID, "count").text == ("4 / 4 张图片" if is_chinese else "4 of 4 images")
    assert driver.find_element(By.TAG_NAME, "h1").text == "<b>images"
    loaded = "return [...document.images].map((image) => image.naturalWidth)"
    assert driver.execute_script(loaded) == [64, 64, 64]

    sort = Select(driver.find_element(By.ID, "sort"))
    sort.select_by_value("low")
    assert names(driver)[-1] == "broken.png"  # in any order, failed images are the last
    sort.select_by_value("high")
    scores = driver.execute_script(
        "return [...document.querySelectorAll('#images > li')].map((item) => Number(item.dataset.score))"
    )
    assert scores == sorted(scores, reverse=True)
    assert names(driver)[-1] == "broken.png"
    sort.select_by_value("given")

    facts = [element.text for element in driver.find_elements(By.CSS_SELECTOR, "header dt")]
    assert facts == (
        ["日期", "服务", "模型", "引擎", "图片"]
        if is_chinese
        else ["Date", "Server", "Model", "Engine", "Images"]
    )
    assert "4: 3 answered, 1 failed" in driver.find_element(By.ID, "facts").text
    link = driver.find_element(By.LINK_TEXT, "soft red.png").get_attribute("href")
    assert link == (page.parent / "<b>images" / "soft red.png").as_uri()

    best = Select(driver.find_element(By.ID, "best"))
    shown = [option.text for option in best.options]
    assert shown == [
        "全部" if is_chinese else "All",
        "无结果 (1)" if is_chinese else "No result (1)",
        "0 (2)",
        "1 (1)",
    ]
    best.select_by_visible_text("0 (2)")
    assert names(driver) == ["red.png", "soft red.png"]
    enter(driver, "find", "SOFT")
    assert names(driver) == ["soft red.png"]
    enter(driver, "find", "nothing")
    assert names(driver) == []
    enter(driver, "find", " ")
    best.select_by_visible_text(shown[1])
    assert names(driver) == ["broken.png"]
    assert "can't be decoded" in driver.find_element(By.CLASS_NAME, "error").text
    best.select_by_visible_text(shown[0])
    enter(driver, "least", "99")
    assert "broken.png" not in names(driver)
    enter(driver, "least", " ")
    view = Select(driver.find_element(By.ID, "view"))
    assert [option.text for option in view.options] == (
        ["卡片", "图库"] if is_chinese else ["Cards", "Gallery"]
    )
    view.select_by_value("gallery")
    cards = driver.find_elements(By.CSS_SELECTOR, "#images > li")
    assert len({card.location["y"] for card in cards}) == 1  # of four, all in one row
    assert [len(card.find_elements(By.CSS_SELECTOR, "ol > li")) for card in cards] == [3, 3, 3, 0]
    shown_rows = [
        row for row in driver.find_elements(By.CSS_SELECTOR, "#images ol > li") if row.is_displayed()
    ]
    assert len(shown_rows) == 3  # each image's best class
    problems = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
    assert problems == []


def test_scores_that_are_no_probabilities_are_filtered_by_their_value(driver: Chrome, tmp_path: Path) -> None:
    page = HtmlReport(tmp_path / "page.html", "logits")
    for score in (25.5, 0.5, -3.25):
        entry: Prediction = {"class_ids": [1], "scores": [score], "label_names": []}
        page.add([Outcome(Pending(f"{score}.jpg"), entry)])
    page.close([])
    driver.get((tmp_path / "page.html").as_uri())
    assert names(driver) == ["25.5.jpg", "0.5.jpg", "-3.25.jpg"]
    enter(driver, "least", "0.1")
    assert names(driver) == ["25.5.jpg", "0.5.jpg"]
    enter(driver, "most", "20")
    assert names(driver) == ["0.5.jpg"]
    enter(driver, "least", " ")
    assert names(driver) == ["0.5.jpg", "-3.25.jpg"]


def test_thousands_of_images_stay_quick(driver: Chrome, tmp_path: Path) -> None:
    """Neither decoded nor laid out while out of sight; sorted and filtered within a second."""
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    thumbnail = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    page = HtmlReport(tmp_path / "page.html", "many")
    for number in range(4000):
        scores = [round(number % 997 / 997, 5), *[0.0] * 4]
        entry: Prediction = {
            "class_ids": [number % 50, 1, 2, 3, 4],
            "scores": scores,
            "label_names": ["label"] * 5,
        }
        page.add([Outcome(Pending(f"{number}.jpg", thumbnail), entry)])
    page.close([])
    driver.set_page_load_timeout(60)
    driver.get((tmp_path / "page.html").as_uri())
    eventually(lambda: driver.execute_script("return document.readyState") == "complete")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#images > li")) == 4000
    took_ms = driver.execute_script(
        "const start = performance.now(); const sort = document.getElementById('sort'); sort.value = 'high';"
        "sort.dispatchEvent(new Event('input', {bubbles: true})); document.body.offsetHeight;"
        "return performance.now() - start"
    )
    assert took_ms < 5000  # 100 or so here; the bound is for a machine that is busy
    best = driver.find_element(By.CSS_SELECTOR, "#images > li")
    assert best.get_attribute("data-score") == "0.999"


@pytest.mark.parametrize("width", [1200, 360])
def test_nothing_reaches_beyond_the_window(page: Path, tmp_path: Path, width: int) -> None:
    with browser(tmp_path, width=width, height=700) as opened:
        opened.get(page.as_uri())
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width


def evaluated_page(folder: Path, answers: list[tuple[str, object, Prediction]]) -> str:
    """The address of a page of these images: name, truth and result."""
    evaluation = evaluate(folder, {name: truth for name, truth, _ in answers if truth is not None}, {})
    page = HtmlReport(folder / "page.html", "evaluated", evaluation)
    for name, _, prediction in answers:
        evaluation.add(name, prediction)
        page.add([Outcome(Pending(name), prediction)])
    page.close([])
    return (folder / "page.html").as_uri()


def click(driver: Chrome, selector: str) -> None:
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def test_a_click_on_a_confusion_shows_its_images(driver: Chrome, tmp_path: Path) -> None:
    answers: list[tuple[str, object, Prediction]] = [
        ("right.png", 1, entry(1, names=True)),
        ("wrong 1.png", 1, entry(2, names=True)),
        ("other.png", 2, entry(1, names=True)),
        ("wrong 2.png", 1, entry(2, names=True)),
        ("nothing.png", 1, entry()),
        ("unlisted.png", None, entry(2, names=True)),
        ("failed.png", 1, failed_prediction("damaged")),
    ]
    driver.get(evaluated_page(tmp_path, answers))
    assert (
        driver.execute_script("return document.querySelector('header').nextElementSibling.id") == "evaluation"
    )
    click(driver, '.matrix button[data-truth="1"][data-answer="2"]')
    assert names(driver) == ["wrong 1.png", "wrong 2.png"]
    chosen = driver.find_element(By.ID, "chosen")
    assert chosen.text == "1 class 1 → 2 class 2 ✕"
    chosen.click()
    assert len(names(driver)) == 7
    assert not chosen.is_displayed()
    click(driver, ".matrix button[data-rest]")
    assert names(driver) == ["nothing.png"]
    click(driver, 'details button[data-truth="2"][data-answer="1"]')
    assert names(driver) == ["other.png"]
    click(driver, '.classes button[data-class="1"]')
    assert names(driver) == ["wrong 1.png", "wrong 2.png", "nothing.png"]
    chosen.click()
    Select(driver.find_element(By.ID, "verdict")).select_by_value("true")
    assert names(driver) == ["right.png"]
    is_chinese = driver.execute_script("return navigator.language").startswith("zh")
    assert driver.find_element(By.CSS_SELECTOR, "#evaluation h2").text == (
        "评估" if is_chinese else "Evaluation"
    )
    problems = [problem for problem in driver.get_log("browser") if problem["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
    assert problems == []


def test_a_click_on_a_label_shows_the_images_where_it_is_wrong(driver: Chrome, tmp_path: Path) -> None:
    answers: list[tuple[str, object, Prediction]] = [
        ("right.png", "1,0,1", entry(0, 2)),
        ("missed.png", "1,1,0", entry(0)),
        ("invented.png", "1,0,0", entry(0, 1)),
        ("another.png", "1,0,0", entry(0, 2)),
    ]
    driver.get(evaluated_page(tmp_path, answers))
    click(driver, '.classes button[data-class="1"]')
    assert names(driver) == ["missed.png", "invented.png"]
    click(driver, '.classes button[data-class="0"]')  # which is right in all of them
    assert names(driver) == ["right.png", "missed.png", "invented.png", "another.png"]


@pytest.mark.parametrize("width", [1200, 390])
def test_a_thousand_classes_fit_into_the_window(tmp_path: Path, width: int) -> None:
    answers: list[tuple[str, object, Prediction]] = [
        (f"{number}.png", number % 1000, entry((number + number % 5) % 1000, names=True))
        for number in range(4000)
    ]
    with browser(tmp_path, width=width, height=700) as opened:
        opened.get(evaluated_page(tmp_path, answers))
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
        assert len(opened.find_elements(By.CSS_SELECTOR, ".matrix tbody tr")) <= 40
        assert len(opened.find_elements(By.CSS_SELECTOR, ".classes tr")) == 1 + 1000
        size = opened.execute_script(
            "const cell = document.querySelector('.matrix button').getBoundingClientRect();"
            "return [cell.width, cell.height]"
        )
        assert min(size) >= 20  # large enough to read and to click
