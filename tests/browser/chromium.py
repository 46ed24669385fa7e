"""Headless Chromium, and what a reader does with it."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
CHROMEDRIVER = os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
)


@contextmanager
def browser() -> Iterator[WebDriver]:
    """Start Chromium and end it."""
    options = Options()
    options.binary_location = CHROMIUM
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def view(
    driver: WebDriver, page: Path, width: int, height: int = 900, *, media: str = "", **features: str
) -> None:
    """Open a page in a window of a size, with media features such as prefers_color_scheme="dark"."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": named})
    driver.get(page.resolve().as_uri())
    settle(driver)


def settle(driver: WebDriver) -> None:
    """Wait until what was asked for has been drawn."""
    driver.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
    )


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so, but no longer than this; whether it is, is for the caller to see."""
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)


def messages(driver: WebDriver) -> list[str]:
    """Return what the console has said since the last time."""
    return [str(entry["message"]) for entry in driver.get_log("browser")]


def requests(driver: WebDriver) -> list[str]:
    """Return the addresses that have been asked for since the last time."""
    entries = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        str(entry["params"]["request"]["url"])
        for entry in entries
        if entry["method"] == "Network.requestWillBeSent"
    ]


def screenshot(driver: WebDriver, file: Path) -> None:
    """Save the whole page as a picture."""
    png = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
    file.write_bytes(base64.b64decode(png))


def tap(driver: WebDriver, x: float, y: float) -> None:
    """Touch a place of the window and let go."""
    driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
    )
    driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def measure(driver: WebDriver, function: str) -> Any:
    """Return what a function of ``measure.js`` finds on the page."""
    script = Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
    return driver.execute_script(f"{script}\nreturn {function}();")
