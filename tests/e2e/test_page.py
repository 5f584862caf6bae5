"""The web page of the standalone server, in a real browser."""

import ast
import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from browser import browser
from clas.commandline.csv_rows import CSV, columns_of, csv_with
from clas.image.resize import ResizeShort
from clas.output.base import failed_prediction
from known_answers import PHOTOGRAPHS, TOP_5
from server_process import server_process
from serving_process import COMMAND, Running, clas_serving, eventually, is_ready, server_env, tiny_config
from visitor import LEAST_CONTRAST, NOTE_VIOLATIONS, WIDER_THAN_THE_WINDOW, Page

pytestmark = pytest.mark.xdist_group("page")
TOKEN = "a-token-for-the-page-0123456789"  # noqa: S105
AVIF = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAANQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEA"
    "AGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAIAAAABAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwA"
    "AAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAPW1kYXQSAAoJGBD/7RAQ0GhAMiYXh4eGIYSSSSZQ"
    "AAAAxjYO3WH6xAheFgSPPW5oUM+PW6iUUAlogA=="
)
"""32 x 16 pixels: the left half red, the right one blue."""


@pytest.fixture(scope="module")
def server(default_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The default model, which takes small files only; in processes of its own, which a test can hold."""
    assert default_model_dir.is_dir()
    flags = ["-m", "clas_system", "--max_request_bytes", "3000000", "--engine", "paddle"]
    with clas_serving(tmp_path_factory.mktemp("server"), *flags) as running:
        yield running


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Chrome]]:
    """A browser of each language."""
    profiles = [tmp_path_factory.mktemp("profile") for _ in range(2)]
    with (
        browser(profiles[0], language="en-US") as english,
        browser(profiles[1], language="zh-CN") as chinese,
    ):
        for driver in (english, chinese):
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOTE_VIOLATIONS})
        yield {"en": english, "zh": chinese}


@pytest.fixture
def page(server: Running, drivers: dict[str, Chrome]) -> Iterator[Page]:
    """In an English browser; whatever a test does, the page keeps to its policy."""
    opened = Page(drivers["en"], server.base).open()
    yield opened
    assert opened.violations() == []


@pytest.fixture(scope="session")
def names(repository: Path) -> dict[int, str]:
    """Class id -> label."""
    lines = (repository / "clas" / "imagenet1k_label_list.txt").read_text(encoding="utf-8").splitlines()
    return {int(number): name for number, name in (line.split(" ", 1) for line in lines)}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.jpg"
    file.write_bytes(b"no image")
    return file


# Images and their results


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_gets_its_classes_and_scores_on_the_screen(
    page: Page, image_folder: Path, names: dict[int, str], name: str
) -> None:
    page.upload(image_folder / name)
    [card] = page.cards("done", 1)
    class_ids, scores = TOP_5[name]
    assert page.labels(card) == [names[class_id] for class_id in class_ids]
    shown = [float(text.rstrip("%")) / 100 for text in page.texts(".score")]
    assert shown == pytest.approx(scores, abs=1.6e-3)
    rows, bars = page.all(".results li"), page.all(".bar")
    widths = page.run(
        "return arguments[0].map((bar) => parseFloat(getComputedStyle(bar, '::before').width))", bars
    )
    longest = rows[0].rect["width"]
    assert widths[0] == pytest.approx(scores[0] * longest, abs=longest * 0.01)
    assert page.one(".card h3").text == name
    assert page.run("return arguments[0].naturalWidth", page.one(".card img")) > 0


def test_each_result_tells_how_long_it_took_and_where(page: Page, image_folder: Path) -> None:
    page.upload(image_folder / "rocket.jpg")
    page.cards("done", 1)
    assert re.fullmatch(r"[\d,]+ ms", page.one(".total").text)
    spent = [re.fullmatch(r"(\w+) ([\d.,]+)", text) for text in page.texts(".phase")]
    assert [part and part[1] for part in spent] == ["decode", "queue", "predict", "transfer"]
    total = float(page.one(".total").text.split()[0].replace(",", ""))
    parts = sum(float(part[2].replace(",", "")) for part in spent if part)
    assert parts == pytest.approx(total, abs=2.5)


def test_a_broken_file_has_its_message_beside_good_images(
    page: Page, image_folder: Path, broken: Path, names: dict[int, str]
) -> None:
    page.upload(image_folder / "coffee.png", broken, image_folder / "rocket.jpg")
    page.cards("done", 2)
    first, failed, last = page.cards("failed", 1)
    assert page.labels(first)[0] == names[967]
    assert page.labels(last)[0] == names[657]
    assert failed.find_element(By.CSS_SELECTOR, ".failure strong").text == "The server can't use this file"
    wanted = "the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP"
    assert failed.find_element(By.CSS_SELECTOR, ".detail").text == wanted
    hint = "This browser can't show it either: save it as JPEG or PNG first."
    assert failed.find_element(By.CSS_SELECTOR, ".hint").text == hint
    assert failed.find_element(By.CSS_SELECTOR, ".no-image").is_displayed()
    assert page.one("#summary").text == "2 of 3 done · 1 failed"
    assert not failed.find_element(By.CSS_SELECTOR, ".again").is_displayed()  # it wouldn't help


def test_the_slider_sets_how_many_results_are_shown_of_those_asked_for_once(
    page: Page, server: Running, image_folder: Path
) -> None:
    page.upload(image_folder / "chelsea.png")
    page.cards("done", 1)
    before = server.metric("clas_images_total")
    for count in (5, 2, 20):
        page.set_slider(count)
        assert page.one("#top-k-value").text == str(count)
        assert len(page.all(".results li")) == count
    page.set_slider(8)
    page.upload(image_folder / "coffee.png")
    page.cards("done", 2)
    assert len(page.all(".results li")) == 16
    assert server.metric("clas_images_total") == before + 1


def test_an_image_that_is_added_before_the_server_says_what_runs_waits_for_that(
    page: Page, server: Running, image_folder: Path
) -> None:
    """Before, the page knows neither the model's name nor how many results there are to ask for."""
    hold = """
    const ask = window.fetch;
    const held = (...request) => new Promise((go) => { window.goOn = () => go(ask(...request)); });
    window.fetch = (...request) => (String(request[0]).includes("predict") ? ask : held)(...request);
    """
    added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hold})
    try:
        page.driver.refresh()
        before = server.metric("clas_images_total")
        page.upload(image_folder / "chelsea.png")
        page.cards("sending", 1)
        assert not page.one("#top-k-field").is_displayed()
        page.run("goOn()")
        page.cards("done", 1)
        page.set_slider(9)
        assert len(page.all(".results li")) == 9
        assert server.metric("clas_images_total") == before + 1
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        page.open()


def test_each_class_has_its_id(page: Page, image_folder: Path) -> None:
    page.upload(image_folder / "coffee.png")
    page.cards("done", 1)
    assert page.texts(".results .id") == [str(class_id) for class_id in TOP_5["coffee.png"][0]]


def test_images_can_be_taken_away(page: Page, image_folder: Path, broken: Path) -> None:
    page.upload(*(image_folder / name for name in PHOTOGRAPHS), broken)
    page.cards("failed", 1)
    page.all(".remove")[0].click()
    assert page.texts(".card h3") == [*PHOTOGRAPHS[1:], "broken.jpg"]
    page.one("#clear").click()
    assert not page.all(".card")
    assert not page.one("#toolbar").is_displayed()


def test_a_file_that_is_too_large_is_not_sent(page: Page, server: Running, tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    file.write_bytes(bytes(3_000_001))
    before = server.metric("clas_requests_total", path="/predict/clas_system")
    page.upload(file)
    page.cards("failed", 1)
    assert page.one(".failure strong").text == "The file is too large"
    assert page.one(".detail").text == "It has 2.9 MB; the server takes up to 2.9 MB."
    assert server.metric("clas_requests_total", path="/predict/clas_system") == before


# Files that only the browser reads


@pytest.mark.parametrize("name", ["coffee.gif", "coffee.svg", "coffee.jpg"])
def test_what_only_the_browser_reads_is_sent_as_jpeg_and_said_so(
    page: Page, image_folder: Path, tmp_path: Path, names: dict[int, str], name: str
) -> None:
    """By what a file holds: coffee.jpg is a GIF, too."""
    with Image.open(image_folder / "coffee.png") as image:
        width, height = image.size
        image.convert("RGB").save(tmp_path / name, "gif" if name != "coffee.svg" else "jpeg")
    if name == "coffee.svg":
        data = base64.b64encode((tmp_path / name).read_bytes()).decode()
        (tmp_path / name).write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
            f'<image href="data:image/jpeg;base64,{data}" width="{width}" height="{height}"/></svg>'
        )
    page.upload(tmp_path / name, image_folder / "coffee.png")
    converted, other = page.cards("done", 2)
    assert page.labels(converted)[0] == page.labels(other)[0] == names[967]
    note = converted.find_element(By.CSS_SELECTOR, ".converted")
    assert note.text == "Sent as JPEG: the server doesn't read this format."
    assert not other.find_element(By.CSS_SELECTOR, ".converted").is_displayed()
    converted.find_element(By.CSS_SELECTOR, ".show-request").click()
    assert page.one("#request-converted").is_displayed()
    assert "@coffee.jpg" in page.codes()[0]
    saved = page.saves("coffee.jpg", tmp_path / "saved", page.one("#request-save").click)
    with Image.open(BytesIO(saved)) as image:
        assert (image.format, image.size) == ("JPEG", (width, height))


def test_an_avif_is_sent_with_its_pixels(page: Page, tmp_path: Path) -> None:
    (tmp_path / "halves.avif").write_bytes(AVIF)
    page.upload(tmp_path / "halves.avif")
    page.cards("done", 1)
    page.one(".show-request").click()
    saved = page.saves("halves.jpg", tmp_path / "saved", page.one("#request-save").click)
    with Image.open(BytesIO(saved)) as made:
        pixels = np.asarray(made.convert("RGB"), np.float32)
    assert pixels.shape == (16, 32, 3)
    assert np.abs(pixels[:, :12] - [255, 0, 0]).max() < 12
    assert np.abs(pixels[:, 20:] - [0, 0, 255]).max() < 12


def test_what_is_behind_a_transparent_image_is_white(page: Page, tmp_path: Path) -> None:
    """The left half is transparent, the right one black."""
    image = Image.new("P", (40, 20), 1)
    image.putpalette([255, 0, 0, 0, 0, 0])
    image.paste(0, (0, 0, 20, 20))
    image.save(tmp_path / "half.gif", transparency=0)
    page.upload(tmp_path / "half.gif")
    page.cards("done", 1)
    page.one(".show-request").click()
    saved = page.saves("half.jpg", tmp_path / "saved", page.one("#request-save").click)
    with Image.open(BytesIO(saved)) as made:
        left, right = (np.asarray(made.convert("L").crop((x, 2, x + 10, 18))) for x in (4, 26))
    assert left.min() > 250
    assert right.max() < 5


# Many images, and results to keep


def test_many_images_are_a_list_in_which_those_that_failed_come_first(
    page: Page, image_folder: Path, broken: Path
) -> None:
    files = [image_folder / PHOTOGRAPHS[number % 3] for number in range(21)]
    page.upload(*files, broken)
    page.cards("done", 21)
    page.cards("failed", 1)
    assert page.texts(".card h3") == ["broken.jpg", *(file.name for file in files)]
    assert len(page.texts(".results li")) - page.texts(".results li").count("") == 21  # the best of each
    assert page.one("#view").text == "As cards"
    assert max(card.rect["height"] for card in page.all(".card")) < 80
    page.one("#view").click()
    assert page.texts(".card h3") == [*(file.name for file in files), "broken.jpg"]
    page.one("#view").click()
    assert page.texts(".card h3")[0] == "broken.jpg"
    page.all(".remove")[0].click()
    assert page.focused() == page.all(".remove")[0]


def test_the_results_on_the_screen_are_kept_in_the_clients_csv(
    page: Page, server: Running, image_folder: Path, broken: Path, tmp_path: Path
) -> None:
    odd = tmp_path / '=1+2,"a" b.jpg'
    shutil.copy(image_folder / "rocket.jpg", odd)
    page.upload(image_folder / "chelsea.png", broken, odd)
    page.cards("failed", 1)
    page.cards("done", 2)
    page.set_slider(7)
    lines = [CSV.header]
    for file in (image_folder / "chelsea.png", broken, odd):
        headers = {"Content-Type": "image/jpeg"}
        answer = requests.post(f"{server.url}?top_k=7", file.read_bytes(), headers=headers, timeout=60).json()
        entry = answer["results"]["prediction"][0] if answer["results"] else failed_prediction(answer["msg"])
        lines.append(CSV.write(file.name, entry))
    saved = page.saves("results.csv", tmp_path / "saved", page.one("#csv").click)
    assert saved.decode() == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    "prediction",
    [
        {"class_ids": [3, 0, 1], "scores": [1.0, 1e-05, 0.0001], "label_names": ['a "b"\\, c\n', "猫", "-d"]},
        {"class_ids": [3], "scores": [-1.5e16], "label_names": [""]},
        {"class_ids": [1], "scores": [12.0], "label_names": ["x"], "value": 0.00002},
        {"class_ids": [1], "scores": [0.5], "label_names": ["x"], "attributes": ["Male", "Hat: True"]},
        {"class_ids": [], "scores": [], "label_names": [], "attributes": "Color: (red, prob: 0.5)"},
        {
            "class_ids": [1, 0],
            "scores": [0.5, 0.75],
            "label_names": ["x", "y"],
            "groups": {
                "=tone": {"label": "x", "class_id": 1, "score": 0.5},
                "size": {"label": "y", "class_id": 0, "score": 0.75},
            },
        },
    ],
)
def test_every_form_of_results_is_the_same_csv_as_the_clients(page: Page, prediction: Any) -> None:
    wanted = csv_with(columns_of(prediction))
    script = "const done = arguments[2]; import('./ui/assets/csv.js').then((csv) => "
    script += "done(csv.csvOf([[arguments[0], JSON.parse(arguments[1])]])))"
    found = page.driver.execute_async_script(script, "a.jpg", json.dumps(prediction))
    assert found == f"{wanted.header}\n{wanted.write('a.jpg', prediction)}\n"


# What the model sees


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_frame_shows_what_the_model_sees_and_a_click_shows_it_large(
    page: Page, image_folder: Path, name: str
) -> None:
    with Image.open(image_folder / name) as image:
        resized = ResizeShort(256)(np.empty((image.height, image.width, 1), np.uint8))
    left, top, width, height = (
        *((resized.shape[1] - 224) / 2 / resized.shape[1], (resized.shape[0] - 224) / 2 / resized.shape[0]),
        *(224 / resized.shape[1], 224 / resized.shape[0]),
    )

    def framed(picture: str) -> list[float]:
        image, seen = page.one(f"{picture} img").rect, page.one(f"{picture} .seen").rect
        return [
            *((seen["x"] - image["x"]) / image["width"], (seen["y"] - image["y"]) / image["height"]),
            *(seen["width"] / image["width"], seen["height"] / image["height"]),
        ]

    page.upload(image_folder / name)
    page.cards("done", 1)
    eventually(page.one(".seen").is_displayed)
    assert framed(".card .picture") == pytest.approx([left, top, width, height], abs=0.01)
    small = page.one(".card img").rect["width"]
    page.one(".enlarge").click()
    eventually(page.one("#image-picture .seen").is_displayed)
    assert framed("#image-picture") == pytest.approx([left, top, width, height], abs=0.01)
    assert page.one("#image-large").rect["width"] > small * 1.1
    assert page.one("#image-title").text == name
    assert page.one("#image-legend").text == "In the frame: what the model sees, scaled to 224 × 224 pixels."
    assert page.texts("#image-said .label") == page.texts(".card .label")


def test_the_arrow_keys_lead_from_one_large_image_to_the_next(
    page: Page, image_folder: Path, broken: Path
) -> None:
    names = ("chelsea.png", "coffee.png", "broken.jpg")

    def is_framed(wanted: object) -> bool:
        return page.one("#image-legend").is_displayed() == wanted

    page.upload(*(image_folder / name for name in names[:2]), broken)
    page.cards("failed", 1)
    page.cards("done", 2)
    page.all(".enlarge")[0].click()
    for key, wanted in ((Keys.RIGHT, 1), (Keys.RIGHT, 2), (Keys.RIGHT, 2), (Keys.LEFT, 1)):
        page.press(key)
        assert page.one("#image-title").text == names[wanted]
        eventually(partial(is_framed, names[wanted] != "broken.jpg"))
    page.press(Keys.ESCAPE)
    eventually(lambda: page.focused() == page.all(".enlarge")[1])  # the event of closing comes later


@pytest.mark.parametrize(
    "settings",
    [
        {"resize_short": 256, "crop_size": 224, "resize_size": [224, 224]},  # all of it is seen
        {"resize_short": None, "crop_size": None, "resize_size": None, "transform_ops": []},
        {"resize_short": 224, "crop_size": 224, "resize_size": []},  # of a square image
    ],
)
def test_there_is_no_frame_where_all_is_seen_or_it_is_not_known(page: Page, settings: object) -> None:
    script = """
    const done = arguments[1];
    const picture = document.getElementById("image-picture").cloneNode(true);
    const image = picture.querySelector("img");
    const canvas = new OffscreenCanvas(300, 300);
    canvas.getContext("2d");
    canvas.convertToBlob().then(async (blob) => {
      image.src = URL.createObjectURL(blob);
      await image.decode();
      const { frame } = await import("./ui/assets/image_view.js");
      done([image.naturalWidth, frame(picture, arguments[0]), picture.querySelector(".seen").hidden]);
    });
    """
    assert page.driver.execute_async_script(script, settings) == [300, False, True]


# Other ways in


def test_images_can_be_dropped_with_their_folder_but_for_those_that_systems_hide_there(
    page: Page, image_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(image_folder, tmp_path / "all")
    for hidden in ("._rocket.jpg", "@eaDir/rocket.jpg", "__MACOSX/rocket.jpg", ".thumbnails/rocket.jpg"):
        (tmp_path / "all" / hidden).parent.mkdir(exist_ok=True)
        shutil.copy(image_folder / "rocket.jpg", tmp_path / "all" / hidden)
    page.drag(tmp_path / "all", "dragEnter", "dragOver", "drop")
    page.cards("done", 3)
    assert sorted(page.texts(".card h3")) == sorted(PHOTOGRAPHS)
    saved = page.saves("results.csv", tmp_path / "saved", page.one("#csv").click).decode().splitlines()
    assert sorted(line.split(",")[0] for line in saved[1:]) == sorted(f"all/{name}" for name in PHOTOGRAPHS)


def test_a_file_can_be_dropped(page: Page, image_folder: Path, names: dict[int, str]) -> None:
    page.drag(image_folder / "coffee.png", "dragEnter", "dragOver")
    eventually(lambda: page.run("return document.body.classList.contains('dragging')"))
    page.drag(image_folder / "coffee.png", "drop")
    [card] = page.cards("done", 1)
    assert page.labels(card)[0] == names[967]
    assert not page.run("return document.body.classList.contains('dragging')")


def test_an_image_can_be_pasted(page: Page, image_folder: Path, names: dict[int, str]) -> None:
    page.run(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (sign) => sign.charCodeAt(0));
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([bytes], "image.png", {type: "image/png"}));
        document.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        """,
        base64.b64encode((image_folder / "coffee.png").read_bytes()).decode(),
    )
    [card] = page.cards("done", 1)
    assert page.labels(card)[0] == names[967]


def test_an_image_can_be_taken_with_the_camera(page: Page) -> None:
    page.one("#camera").click()
    eventually(page.one("#camera-take").is_enabled)
    page.one("#camera-take").click()
    [card] = page.cards("done", 1)
    assert re.fullmatch(r"camera-\d{6}\.jpg", card.find_element(By.TAG_NAME, "h3").text)
    assert page.run("return document.getElementById('camera-view').srcObject") is None


def test_a_camera_that_cannot_be_used_says_why(page: Page) -> None:
    page.run("navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no such device'))")
    page.one("#camera").click()
    eventually(lambda: page.one("#camera-note").text == "The camera can't be used: no such device")
    assert not page.one("#camera-take").is_enabled()
    page.press(Keys.ESCAPE)
    assert not page.one("#camera-dialog").is_displayed()


# The request by program


@pytest.mark.parametrize("name", ["rocket.jpg", 'it\'s "$HOME" `é` 火箭.jpg'])
def test_the_shown_commands_get_what_the_page_got(
    page: Page, image_folder: Path, tmp_path: Path, names: dict[int, str], name: str
) -> None:
    shutil.copy(image_folder / "rocket.jpg", tmp_path / name)
    page.upload(tmp_path / name)
    [card] = page.cards("done", 1)
    page.set_slider(3)
    card.find_element(By.CSS_SELECTOR, ".show-request").click()
    curl, python = page.codes()
    for command in (["bash", "-c", curl], [sys.executable, "-c", python]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        answer = ast.literal_eval(done.stdout)
        [entry] = answer.get("results", answer)["prediction"]
        assert entry["label_names"] == page.labels(card) == [names[i] for i in TOP_5["rocket.jpg"][0][:3]]


def test_the_shown_commands_can_be_copied(page: Page, image_folder: Path) -> None:
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": page.base}
    page.driver.execute_cdp_cmd("Browser.grantPermissions", permissions)
    page.upload(image_folder / "rocket.jpg")
    [card] = page.cards("done", 1)
    card.find_element(By.CSS_SELECTOR, ".show-request").click()

    def said(*texts: str) -> bool:
        return page.texts(".copy") == list(texts)

    curl, python = page.all(".copy")
    for button, texts, code in zip(
        (curl, python), (("Copied", "Copy"), ("Copy", "Copied")), page.codes(), strict=True
    ):
        button.click()
        eventually(partial(said, *texts))
        assert page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == code


# Words, looks and ways to get about


@pytest.mark.parametrize(
    ("language", "title", "other"),
    [("en", "Image classification", "图像分类"), ("zh", "图像分类", "Image classification")],
)
def test_the_language_is_the_browsers_until_it_is_switched(
    server: Running, drivers: dict[str, Chrome], image_folder: Path, language: str, title: str, other: str
) -> None:
    page = Page(drivers[language], server.base).open()
    page.upload(image_folder / "coffee.png")
    page.cards("done", 1)
    summaries = {"Image classification": "1 of 1 done", "图像分类": "已完成 1 / 1"}
    for wanted in (title, other):
        assert page.one("h1").text == page.driver.title == wanted
        assert page.one("#summary").text == summaries[wanted]
        assert page.run("return document.documentElement.lang") == {"图": "zh-CN", "I": "en"}[wanted[0]]
        page.one("#language").click()
    page.one("#language").click()
    page.driver.refresh()
    assert page.one("h1").text == other
    assert page.violations() == []


def test_no_text_is_left_over_from_the_other_language(
    server: Running, drivers: dict[str, Chrome], image_folder: Path, broken: Path
) -> None:
    page = Page(drivers["zh"], server.base).open()
    page.upload(image_folder / "coffee.png", broken)
    page.cards("failed", 1)
    page.cards("done", 1)
    page.one("summary").click()
    wanted = "无法解码图片：不是 JPEG, PNG, BMP, WEBP 格式的文件"
    assert [text for text in page.texts(".detail") if text] == [wanted]
    original = "the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP"
    assert page.all(".detail")[1].get_attribute("title") == original
    for selector in (
        "h1",
        "h2",
        "button:not(.icon, #language)",
        "label",
        ".state",
        ".summary",
        ".failure strong",
        ".detail",
        ".toolbar button",
        "summary",
        "dt",
    ):
        for text in page.texts(selector):
            assert not text or re.search("[\u4e00-\u9fff]", text), (selector, text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_wider_than_the_window(
    server: Running, drivers: dict[str, Chrome], image_folder: Path, tmp_path: Path, language: str
) -> None:
    """Without a card, with one of a very long name, and with one that failed."""
    page = Page(drivers[language], server.base).open()
    long_name = tmp_path / f"{'a_very_long_name_' * 12}.jpg"
    shutil.copy(image_folder / "rocket.jpg", long_name)
    bad = tmp_path / f"{'bad' * 60}.jpg"
    bad.write_bytes(b"no image")
    try:
        for files in ((), (long_name,), (bad, image_folder / "chelsea.png")):
            if files:
                page.upload(*files)
                eventually(lambda: not page.all('[aria-busy="true"]'))
            for width in (320, 375, 768, 1200):
                page.resize(width)
                assert page.run("return innerWidth") == width
                assert page.run(WIDER_THAN_THE_WINDOW) == []
                assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        page.one("#view").click()
        for width in (320, 375, 768, 1200):
            page.resize(width)
            assert page.run(WIDER_THAN_THE_WINDOW) == []
        page.one("#view").click()
        for opener, opened in ((".show-request", "#request-dialog"), (".enlarge", "#image-dialog")):
            page.all(opener)[0].click()
            for width in (320, 375, 768, 1200):
                page.resize(width)
                dialog = page.one(opened).rect
                assert dialog["x"] >= 0
                assert dialog["x"] + dialog["width"] <= width
            page.press(Keys.ESCAPE)
    finally:
        page.resize(1200)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(
    page: Page, image_folder: Path, broken: Path, scheme: str
) -> None:
    page.prefer(scheme)
    page.upload(image_folder / "coffee.png", broken)
    page.cards("failed", 1)
    page.cards("done", 1)
    page.run("for (const animation of document.getAnimations()) animation.finish()")
    found = page.run(LEAST_CONTRAST)
    assert len(found) > 40
    assert found[0][0] >= 4.5, found[0]
    for opener in ("#view", ".card:not(.unseen) .enlarge", "summary", ".show-request"):
        if opener == ".show-request":
            page.one("#view").click()  # a list has none
        page.all(opener)[0].click()
        found = page.run(LEAST_CONTRAST)
        assert found[0][0] >= 4.5, found[0]
        page.press(Keys.ESCAPE)


def test_the_colours_follow_the_system_until_they_are_chosen(page: Page) -> None:
    def brightness() -> int:
        return int(
            page.run("return Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
        )

    page.prefer("dark")
    dark = brightness()
    page.prefer("light")
    assert dark < 40
    assert brightness() > 220
    page.one("#theme").click()
    page.prefer("dark")
    assert brightness() > 220
    page.one("#theme").click()
    page.prefer("light")
    assert brightness() == dark
    page.driver.refresh()
    eventually(lambda: brightness() == dark)
    assert page.one("#theme").get_attribute("aria-label") == "Colours: dark"


def test_the_keyboard_reaches_everything(page: Page, image_folder: Path) -> None:
    page.upload(image_folder / "coffee.png")
    [card] = page.cards("done", 1)
    reached = []
    for _ in range(11):
        page.press(Keys.TAB)
        focused = page.focused()
        reached.append(focused.get_attribute("id") or str(focused.get_attribute("class")).split()[0])
        outline = page.run("return getComputedStyle(arguments[0]).outlineStyle", focused)
        assert outline == "solid", reached
    tools = ["quiet", "theme", "language", "choose", "camera", "top-k", "csv", "clear"]
    assert reached == [*tools, "enlarge", "remove", "show-request"]
    page.press(Keys.ENTER)
    assert page.one("#request-dialog").is_displayed()
    page.press(Keys.ESCAPE)
    assert not page.one("#request-dialog").is_displayed()
    assert page.focused() == card.find_element(By.CSS_SELECTOR, ".show-request")


def test_every_control_has_a_name(page: Page, image_folder: Path, broken: Path) -> None:
    page.upload(image_folder / "coffee.png", broken)
    page.cards("failed", 1)
    for selector in ("button", "a", "input:not([type=file])", "ol"):
        for element in page.all(selector):
            if element.is_displayed():
                assert element.accessible_name, element.get_attribute("outerHTML")
    removers = [element.accessible_name for element in page.all(".remove")]
    assert removers == ["Remove coffee.png", "Remove broken.jpg"]


def test_the_page_tells_what_runs_here(page: Page) -> None:
    assert "Predictors" not in page.texts("dt")  # for operators: folded away
    page.one("summary").click()
    eventually(lambda: "3 / 3" in page.texts("dd") or "1 / 1" in page.texts("dd"))
    facts = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert facts["Model"] == "EfficientNet-Lite0 (pdmodel)"
    assert (facts["Classes"], facts["Input"]) == ("1,000", "N × 3 × 224 × 224")
    assert (facts["Device"], facts["Precision"]) == ("CPU", "fp32")
    assert (facts["Largest request"], facts["Longest wait"]) == ("2.9 MB", "30 s")
    assert not page.one("#model-field").is_displayed()  # there is no choice
    assert not page.one("#models-part").is_displayed()


# What it must not do


def test_all_comes_from_the_server_itself(page: Page, image_folder: Path) -> None:
    page.upload(image_folder / "coffee.png")
    page.cards("done", 1)
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(loaded) > 8
    assert all(name.startswith((f"{page.base}/", f"blob:{page.base}/")) for name in loaded)


@pytest.mark.parametrize(
    ("act", "directive"),
    [
        ("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))", "img-src"),
        ("fetch('http://127.0.0.1:9/').catch(() => 0)", "connect-src"),
        ("document.body.setAttribute('style', 'color: red')", "style-src-attr"),
        ("document.body.append(document.createElement('style'))", "style-src-elem"),
        ("document.body.setAttribute('onclick', '0')", "require-trusted-types-for"),
        ("document.body.insertAdjacentHTML('beforeend', '<b>')", "require-trusted-types-for"),
        ("document.createElement('script').src = 'ui/assets/app.js'", "require-trusted-types-for"),
    ],
)
def test_what_the_policy_forbids_is_stopped_and_noted(
    server: Running, drivers: dict[str, Chrome], act: str, directive: str
) -> None:
    page = Page(drivers["en"], server.base).open()
    page.run(f"try {{ {act} }} catch (error) {{}}")
    eventually(lambda: page.run("return violations") == [directive])
    assert page.violations()


def test_the_documentation_asks_the_server_under_its_own_policy(
    server: Running, drivers: dict[str, Chrome]
) -> None:
    page = Page(drivers["en"], server.base)
    page.driver.get(f"{server.base}/docs")

    def shown(selector: str) -> Any:
        return eventually(lambda: page.driver.find_elements(By.CSS_SELECTOR, selector))[0]

    for selector in (".opblock-summary-control", ".try-out__btn", ".execute"):
        shown(f".opblock-get {selector}").click()
    assert shown(".live-responses-table .response .response-col_status").text.startswith("200")
    page.one("nav a").click()
    eventually(lambda: page.driver.current_url == f"{server.base}/ui")
    assert page.violations() == []


def test_the_documentation_has_the_colours_that_are_chosen_for_the_page(page: Page) -> None:
    look = (
        "const ground = getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0];"
        "return [getComputedStyle(document.getElementById('ui')).filter !== 'none', Number(ground)]"
    )

    def becomes(theme: str, *, is_dark: bool) -> bool:
        page.run("localStorage.setItem('clas_system_theme', arguments[0])", theme)
        page.driver.get(f"{page.base}/docs")

        def has_come() -> bool:
            turned, brightness = page.run(look)
            return bool(turned == is_dark and (brightness < 40 if is_dark else brightness > 220))

        return bool(eventually(has_come, 20))

    page.prefer("light")
    assert becomes("auto", is_dark=False)
    assert becomes("light", is_dark=False)
    assert becomes("dark", is_dark=True)
    page.prefer("dark")
    assert becomes("auto", is_dark=True)
    assert becomes("light", is_dark=False)
    page.prefer("light")


# Results that aren't classes


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        (
            {"main_indicator": "TableAttribute"},
            r"(Scanned|Photo)\n(Little|Numerous)\n.*\n(Horizontal|Tilted)",
        ),
        (
            {
                "main_indicator": "groups",
                "groups": [{"name": "tone", "outputs": [0, 1, 2], "labels": ["red", "green", "blue"]}],
            },
            r"tone: (red|green|blue)",
        ),
        ({"main_indicator": "features"}, r"6 features"),
    ],
)
def test_what_a_model_says_in_place_of_classes_has_its_rows(
    tiny_model: Path,
    tmp_path: Path,
    drivers: dict[str, Chrome],
    image_folder: Path,
    settings: dict[str, object],
    rows: str,
) -> None:
    config = tiny_config(tiny_model)
    module = config["modules_info"]["clas_system"]
    module["init_args"].update(settings)
    module["predict_args"].clear()
    with clas_serving(tmp_path, config=config) as running:
        page = Page(drivers["en"], running.base).open(ready=False)
        eventually(lambda: page.one("#state").text == "Ready")
        page.upload(image_folder / "coffee.png")
        [card] = page.cards("done", 1)
        assert re.fullmatch(rows, "\n".join(page.labels(card)), re.DOTALL)
        assert not page.one("#top-k-field").is_displayed()
        assert settings["main_indicator"] in page.texts("#facts dd")
        page.one("#language").click()
        page.one("#language").click()
        assert page.violations() == []


def test_what_may_make_results_wrong_is_said(
    tiny_model: Path, tmp_path: Path, drivers: dict[str, Chrome]
) -> None:
    config = tiny_config(tiny_model)
    del config["modules_info"]["clas_system"]["init_args"]["class_id_map_file"]  # ImageNet's, by default
    with clas_serving(tmp_path, config=config) as running:
        page = Page(drivers["en"], running.base).open()
        [warning] = eventually(lambda: page.texts("#warnings li"))
        assert warning.startswith("the built-in label list isn't used: it has 1000 labels")
        page.one("#language").click()
        [warning] = page.texts("#warnings li")
        found = "1000 个标签，编号从 0 到 999，而模型有 6 个类别，从 0 到 5"
        assert warning == f"没有使用内置的标签表：它有 {found}；请把 class_id_map_file 设为模型自己的标签文件"


# A server that wants a token


@pytest.fixture(scope="module")
def locked(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("locked")
    (directory / "tokens").write_text(TOKEN)
    config = tiny_config(tiny_model, token_file=str(directory / "tokens"))
    with clas_serving(directory, config=config) as running:
        yield running


def test_a_token_is_asked_for_until_it_is_right_and_kept_for_the_tab_only(
    locked: Running, drivers: dict[str, Chrome], image_folder: Path
) -> None:
    page = Page(drivers["en"], locked.base).open(ready=False)
    page.give_token("two words")
    assert page.one("#token-note").text == "A token has only ASCII characters and no spaces."
    page.give_token("some-other-token-0123456789")
    eventually(lambda: page.one("#token-note").text == "The server doesn't accept this token.")
    page.give_token(TOKEN)
    eventually(lambda: page.one("#state").text == "Ready")
    page.upload(image_folder / "coffee.png")
    [card] = page.cards("done", 1)
    card.find_element(By.CSS_SELECTOR, ".show-request").click()
    assert all("Bearer TOKEN" in code and TOKEN not in code for code in page.codes())
    assert TOKEN not in page.run("return JSON.stringify(localStorage) + document.cookie + location.href")
    page.driver.refresh()
    eventually(lambda: page.one("#state").text == "Ready")

    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.driver.get(f"{locked.base}/ui")
    eventually(page.one("#token-dialog").is_displayed)
    page.driver.close()
    page.driver.switch_to.window(first)

    page.one("#token").click()  # Forget token
    eventually(lambda: page.one("#state").text == "Needs a token")
    assert page.run("return sessionStorage.length") == 0


def test_without_a_token_images_say_so_and_can_be_sent_again_with_one(
    locked: Running, drivers: dict[str, Chrome], image_folder: Path
) -> None:
    page = Page(drivers["en"], locked.base).open(ready=False)
    eventually(page.one("#token-dialog").is_displayed)
    page.press(Keys.ESCAPE)
    eventually(lambda: page.one("#state").text == "Needs a token")
    for _ in range(2):  # more than are sent at once
        page.upload(*(image_folder / name for name in PHOTOGRAPHS))
    eventually(page.one("#token-dialog").is_displayed)
    page.press(Keys.ESCAPE)
    page.cards("failed", 6)
    assert not page.one("#token-dialog").is_displayed()  # asked once, not for each
    assert page.texts(".failure strong") == ["A valid token is needed"] * 6
    page.all(".again")[0].click()
    page.give_token(TOKEN)
    page.cards("done", 1)
    for button in page.all(".again"):
        if button.is_displayed():
            button.click()
    page.cards("done", 6)
    eventually(lambda: page.one("#state").text == "Ready")


# A server that is busy, or gone


@pytest.fixture
def narrow(tiny_model: Path, tmp_path: Path) -> Callable[..., Any]:
    """Starts servers that have room for few images."""

    def start(room: int) -> Any:
        config = tiny_config(tiny_model, engine="paddle", max_queue_images=room)
        return clas_serving(tmp_path, "--predictors", "1", config=config)

    return start


def test_an_image_that_a_busy_server_refuses_is_sent_again(
    narrow: Callable[..., Any], drivers: dict[str, Chrome], image_folder: Path
) -> None:
    with narrow(1) as running:
        page = Page(drivers["en"], running.base).open()
        with running.held() as go_on:
            page.upload(*(image_folder / name for name in PHOTOGRAPHS))
            page.cards("retrying", 2)
            assert page.texts(".progress-text").count("The server is busy; trying again") == 2
            assert running.metric("clas_requests_total", status="503") >= 2
            go_on()
            page.cards("done", 3)
    assert page.violations() == []


def test_few_requests_are_under_way_at_once_and_what_is_removed_is_not_waited_for(
    narrow: Callable[..., Any], drivers: dict[str, Chrome], image_folder: Path
) -> None:
    with narrow(100) as running:
        page = Page(drivers["en"], running.base).open()
        with running.held():
            for _ in range(3):
                page.upload(*(image_folder / name for name in PHOTOGRAPHS))
            page.cards("sending", 4)
            assert len(page.all('.card[data-state="waiting"]')) == 5
            eventually(lambda: running.metric("clas_queue_images") == 4)
            page.one("#clear").click()
            eventually(lambda: running.metric("clas_queue_images") == 0)
            page.upload(image_folder / "coffee.png")
            page.cards("sending", 1)
        page.cards("done", 1)


def test_a_server_that_is_gone_is_told_from_a_bad_file_until_it_is_back(
    tiny_model: Path, tmp_path: Path, drivers: dict[str, Chrome], image_folder: Path
) -> None:
    config = tiny_config(tiny_model)
    with clas_serving(tmp_path, config=config) as running:
        page = Page(drivers["en"], running.base).open()
    page.upload(*(image_folder / name for name in PHOTOGRAPHS))
    page.cards("failed", 3)
    assert set(page.texts(".failure strong")) == {"The server can't be reached"}
    assert page.texts(".detail")[0].startswith("Check the network")
    eventually(lambda: page.one("#state").text == "Server unreachable")
    file = tmp_path / "again.json"
    file.write_text(json.dumps({**config, "port": running.port}))
    command, log = [*COMMAND, "start", "-c", str(file)], tmp_path / "again.log"
    with server_process(command, log, server_env(tmp_path), tmp_path, lambda: is_ready(running.base)):
        eventually(lambda: page.one("#state").text == "Ready")
        page.one("#retry").click()
        page.cards("done", 3)
    eventually(lambda: page.one("#state").text == "Server unreachable", 15)  # with nothing to send
