"""A visitor of the web page of the standalone server."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from serving_process import eventually

NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""
LEAST_CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([red, green, blue]) => [red, green, blue].map((value) => value / 255)
  .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
const ground = (element) => {
  const [red, green, blue, alpha = 1] = numbers(getComputedStyle(element).backgroundColor);
  return alpha === 1 ? [red, green, blue] : ground(element.parentElement);
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (walker.currentNode.data.trim() && element.checkVisibility({visibilityProperty: true})) {
    const both = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
    const [low, high] = both.sort((one, other) => one - other);
    found.push([(high + 0.05) / (low + 0.05), walker.currentNode.data.trim()]);
  }
}
return found.sort((one, other) => one[0] - other[0]);
"""
WIDER_THAN_THE_WINDOW = """
return [...document.body.querySelectorAll("*")]
  .filter((element) => element.closest("pre") === null && element.checkVisibility())
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
  .map((element) => element.outerHTML.slice(0, 80));
"""


class Page:
    """What a visitor sees and does."""

    def __init__(self, driver: Chrome, base: str) -> None:
        self.driver = driver
        self.base = base

    def open(self, *, ready: bool = True) -> "Page":
        """As in a new tab of a new visitor."""
        self.driver.get(f"{self.base}/ui")
        self.driver.execute_script("localStorage.clear(); sessionStorage.clear()")
        self.log()
        self.driver.refresh()
        if ready:
            eventually(lambda: self.one("#state").get_attribute("data-state") == "Ready")
            eventually(lambda: self.one("#top-k-field").get_attribute("hidden") is None)
        return self

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        while True:
            with contextlib.suppress(StaleElementReferenceException):  # the page has replaced one meanwhile
                return [element.text for element in self.all(selector)]

    def upload(self, *files: Path) -> None:
        self.one("#files").send_keys("\n".join(map(str, files)))

    def cards(self, state: str, count: int) -> list[WebElement]:
        """All cards, once there are so many in this state, and all have come into sight."""
        selector = (
            f'.card[data-state="{state}"]:not([aria-busy="{str(state in ("done", "failed")).lower()}"])'
        )
        eventually(lambda: len(self.all(selector)) == count)
        # A card appears from full transparency, in which WebDriver sees no text.
        appearing = (
            "return [...document.querySelectorAll('.card')].some((card) => card.getAnimations().length)"
        )
        eventually(lambda: not self.run(appearing))
        return self.all(".card")

    def labels(self, card: WebElement) -> list[str]:
        return [label.text for label in card.find_elements(By.CSS_SELECTOR, ".label")]

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def violations(self) -> list[str]:
        """Of the Content-Security-Policy."""
        noted: list[str] = self.run("return violations")
        return noted + [line for line in self.log() if "Content Security Policy" in line]

    def log(self) -> list[str]:
        """What the browser has logged since it was asked last."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def set_slider(self, value: int) -> None:
        """By keyboard, as it stands at some other value."""
        slider = self.one("#top-k")
        step = value - int(slider.get_property("value"))  # type: ignore[arg-type]
        slider.send_keys(*[Keys.RIGHT if step > 0 else Keys.LEFT] * abs(step))

    def drag(self, path: Path, *kinds: str) -> None:
        """Do these of dragEnter, dragOver and drop with a file or folder."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in kinds:
            event = {"type": kind, "x": 400, "y": 300, "data": data}
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)

    def saves(self, name: str, directory: Path, act: Callable[[], object]) -> bytes:
        """What the browser saves under this name when it is made to, in a new directory."""
        directory.mkdir()
        behaviour = {"behavior": "allow", "downloadPath": str(directory)}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        act()
        file = directory / name
        # Until it is complete, there is none, or an empty one beside one of another name.
        eventually(lambda: file.exists() and file.stat().st_size)
        return file.read_bytes()

    def codes(self) -> list[str]:
        """The shown commands: for a shell, and for Python."""
        return [str(self.one(f"#{name}").get_property("textContent")) for name in ("curl", "python")]

    def give_token(self, token: str) -> None:
        eventually(self.one("#token-dialog").is_displayed)
        self.one("#token-input").clear()
        self.one("#token-input").send_keys(token, Keys.ENTER)

    def resize(self, width: int, height: int = 800) -> None:
        """Give the page a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        """Have the system be "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
