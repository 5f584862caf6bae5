"""Headless Chromium, Debian's, driven by Selenium; nothing is downloaded for it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
_MISSING = "the tests of the pages need Chromium: apt-get install chromium chromium-driver"


@contextlib.contextmanager
def browser(
    profile: Path, *, language: str = "en-US", width: int = 1200, height: int = 900
) -> Iterator[Chrome]:
    """A browser with a window of its own, for the time of a block.

    Args:
        profile: An empty directory for all that it keeps.
        language: What it prefers.
        width: Of its window, in CSS pixels.
        height: Of its window, in CSS pixels.
    """
    if not (CHROMIUM.exists() and DRIVER.exists()):
        # Where `make test` can install it, these tests must not be left out quietly.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(_MISSING)
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.add_argument(f"--lang={language}")
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(str(DRIVER)))
    try:
        # A window of Chromium's has a least width; what the page sees hasn't.
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield driver
    finally:
        driver.quit()
