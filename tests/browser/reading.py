"""What a page has in it and shows, for the checks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.chromium import settle


def data_of(driver: WebDriver) -> dict[str, Any]:
    text = driver.find_element(By.ID, "data").get_attribute("textContent")
    loaded: dict[str, Any] = json.loads(text or "")
    return loaded


def frame_now(driver: WebDriver) -> int:
    return int(driver.find_element(By.ID, "slider").get_property("value"))


def seen(driver: WebDriver) -> dict[str, str]:
    return {
        name: driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerHTML).join()",
            f".{css} .plot",
        )
        for name, css in (("charts", "chart"), ("geometries", "geometry"))
    }


def moves(data: dict[str, Any], frame: int) -> bool:
    """Whether the geometry at a frame differs from that at the start by more than the eye could miss."""
    loss = data["charts"][0]["curves"][0]["values"]
    return (
        bool(data["panels"]) and loss[frame] is not None and abs(loss[frame] - loss[0]) > 0.01 * abs(loss[0])
    )


def shows(driver: WebDriver, data: dict[str, Any], frame: int) -> Iterator[str]:
    """The time and the numbers under the pictures are those of the data."""
    shown = driver.find_element(By.ID, "time").text
    if not near(number_in(shown.removeprefix("s = ")), data["s"][frame]):
        yield f"{shown!r} at s = {data['s'][frame]}"
    cells = driver.execute_script(
        "return [...document.querySelectorAll('td.now')].map((cell) => cell.textContent)"
    )
    values = [curve["values"][frame] for chart in data["charts"] for curve in chart["curves"]]
    same = [near(number_in(cell), value) for cell, value in zip(cells, values, strict=False)]
    if len(cells) != len(values) or not all(same):
        yield f"the numbers under the pictures at frame {frame} are not the data's"


def number_in(text: str) -> float | None:
    text = text.strip().replace("−", "-")
    return float(text) if re.fullmatch(r"-?[\d.]+(e-?\d+)?", text) else None


def near(shown: float | None, value: float | None) -> bool:
    if shown is None or value is None:
        return shown is value
    return abs(shown - value) <= 6e-3 * abs(value)


def inside(driver: WebDriver, mark: WebElement, figure: WebElement) -> bool:
    """Whether a mark lies inside its drawing, so that one can point at it."""
    script = (
        "const a = arguments[0].getBoundingClientRect(), b = arguments[1].getBoundingClientRect();"
        "return a.left > b.left && a.right < b.right && a.top > b.top && a.bottom < b.bottom"
    )
    return bool(driver.execute_script(script, mark, figure.find_element(By.CSS_SELECTOR, ".plot > svg")))


def into_view(driver: WebDriver, element: WebElement) -> None:
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    settle(driver)
