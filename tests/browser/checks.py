"""What is asked of a page: each check yields what is wrong with it, a sentence each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.chromium import measure, messages, requests, settle, tap, until, view
from tests.browser.reading import data_of, frame_now, inside, into_view, moves, near, number_in, seen, shows

WATCH_PRINTING = """
window.widthsOnPaper = [];
addEventListener("beforeprint", () => {
  for (const svg of document.querySelectorAll(".plot > svg")) widthsOnPaper.push(svg.viewBox.baseVal.width);
});
"""

# What of the player lies under the ring that shows the focus.
UNDER_THE_RING = """
const focused = document.activeElement, style = getComputedStyle(focused);
const reach = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth);
const a = focused.getBoundingClientRect();
if (!focused.closest(".player")) return [];
return [...document.querySelectorAll(".player :is(button, select, #track)")].filter((other) => {
  const b = other.getBoundingClientRect();
  return other !== focused && b.width && b.left < a.right + reach && a.left - reach < b.right
    && b.top < a.bottom + reach && a.top - reach < b.bottom;
}).map((other) => other.id);
"""

Check = Callable[[WebDriver, Path], Iterator[str]]

PHONE, DESKTOP, PAPER = 360, 1200, 718
#: How wide a picture may be drawn for paper, in pixels: its texts then have at least two thirds of their size.
MOST_ON_PAPER = 500
LOOKS = ("overlaps", "cutOff", "misread", "turned", "clipped", "sideways", "faint")
RULES = ["wcag2a", "wcag2aa", "best-practice"]

# This axe is from before HTML 5.2, which lets terms of a list be grouped in div elements: without its rule `dlitem`.
RUN_AXE = """
const [rules, done] = arguments;
const options = {runOnly: {type: 'tag', values: rules}, rules: {dlitem: {enabled: false}}};
axe.run(document, {...options, resultTypes: ['violations']})
  .then((result) => done(result.violations), (error) => done(String(error)));
"""


def quiet(driver: WebDriver, page: Path) -> Iterator[str]:
    """The console says nothing, and nothing but the page itself is asked for."""
    messages(driver), requests(driver)
    view(driver, page, DESKTOP)
    time.sleep(0.2)
    yield from (f"console: {message}" for message in messages(driver))
    asked = [url for url in requests(driver) if url != page.resolve().as_uri()]
    yield from (f"asked for {url}" for url in asked)


def harmless(driver: WebDriver, page: Path) -> Iterator[str]:
    """No text of the run has become an element or has run."""
    view(driver, page, DESKTOP)
    if driver.find_elements(By.CSS_SELECTOR, "img, iframe, object, embed, link, base, form"):
        yield "an element that no template has"
    if driver.execute_script("return document.scripts.length") != 2 or driver.title == "1":
        yield "a script that no template has"
    if driver.execute_script("return document.body.lastElementChild.tagName") != "SCRIPT":
        yield "something after the scripts"


def looks(driver: WebDriver, page: Path) -> Iterator[str]:
    """Nothing overlaps, is cut off, faint or too wide: phone, desktop, paper, light and dark, start and end."""
    for name, width, media, scheme in (
        ("phone", PHONE, "", "light"), ("phone, dark", PHONE, "", "dark"), ("desktop", DESKTOP, "", "light"),
        ("desktop, dark", DESKTOP, "", "dark"), ("paper", PAPER, "print", "light"),
    ):  # fmt: skip
        view(driver, page, width, media=media, prefers_color_scheme=scheme)
        for key in (Keys.HOME, Keys.END):
            slider = driver.find_element(By.ID, "slider")
            if media != "print" and slider.is_enabled():
                slider.send_keys(key)
                settle(driver)
                driver.execute_script("scrollTo(0, 0)")
            for look in LOOKS:
                yield from (f"{name}: {look} {found}" for found in measure(driver, look)[:5])
        dark = measure(driver, "isDark")
        if dark != (scheme == "dark"):
            yield f"{name}: the ground is {'dark' if dark else 'light'}"


def printed(driver: WebDriver, page: Path) -> Iterator[str]:
    """Paper has neither player nor buttons, and some pages come out."""
    view(driver, page, PAPER, media="print")
    if driver.find_element(By.CLASS_NAME, "player").is_displayed():
        yield "the player is printed"
    if not driver.find_element(By.ID, "printed").is_displayed():
        yield "the chosen s is not printed"
    told = driver.find_elements(By.CSS_SELECTOR, "#log .range")
    if told and not told[0].is_displayed():
        yield "which of the events are printed is not said"
    view(driver, page, DESKTOP)
    drawn = seen(driver)
    driver.execute_script(WATCH_PRINTING)
    pdf = driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    if len(pdf) < 20_000:
        yield "almost nothing is printed"
    widths = driver.execute_script("return widthsOnPaper")
    if not widths or max(widths) > MOST_ON_PAPER:
        yield f"pictures are printed as they are on a screen, {widths} pixels wide: their texts are too small"
    if seen(driver) != drawn:
        yield "after printing the pictures are others"


def scriptless(driver: WebDriver, page: Path) -> Iterator[str]:
    """Without scripts the page says what is missing, and offers no control that would do nothing."""
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(page.resolve().as_uri())
        for each in driver.find_elements(By.CSS_SELECTOR, "button, input, select"):
            if each.is_displayed():
                yield f"{each.tag_name} {each.get_dom_attribute('id')} does nothing"
        if "need JavaScript" not in driver.find_element(By.ID, "along").text:
            yield "it does not say that the pictures need scripts"
        if not driver.find_element(By.ID, "certificates").is_displayed():
            yield "there are no certificates"
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def accessible(driver: WebDriver, page: Path) -> Iterator[str]:
    """The rules of axe hold."""
    from axe_selenium_python import Axe

    view(driver, page, DESKTOP)
    axe = Axe(driver)
    axe.inject()
    result = driver.execute_async_script(RUN_AXE, RULES)
    if isinstance(result, str):
        yield f"axe: {result}"
        return
    for violation in result:
        where = ", ".join(str(node["target"]) for node in violation["nodes"][:3])
        yield f"axe {violation['id']}: {violation['help']}, at {where}"


def forced(driver: WebDriver, page: Path) -> Iterator[str]:
    """With the reader's own few colours, what is pressed and the key of the marks are still told from the ground."""
    script = """
    for (const button of document.querySelectorAll("[aria-pressed]")) button.setAttribute("aria-pressed", "true");
    const groundOf = (element) => getComputedStyle(element).backgroundColor;
    const grounds = (selector) => [...document.querySelectorAll(selector)].map(groundOf);
    const [ground] = grounds("body");
    const soft = getComputedStyle(document.documentElement).getPropertyValue("--soft");
    return [["[aria-pressed]", ".tick", ".tip"].filter((each) => grounds(each).includes(ground)), soft];
    """
    for scheme in ("light", "dark"):
        view(driver, page, DESKTOP, forced_colors="active", prefers_color_scheme=scheme)
        lost, soft = driver.execute_script(script)
        yield from (f"{scheme}: {each} has the colour of the ground" for each in lost)
        if soft.strip() != "CanvasText":  # the track of the slider is painted with it
            yield f"{scheme}: the slider is {soft}"


def slides(driver: WebDriver, page: Path) -> Iterator[str]:
    """The slider, by mouse and by keys, changes the time shown, the values and the drawings."""
    view(driver, page, DESKTOP)
    data = data_of(driver)
    last = len(data["s"]) - 1
    slider = driver.find_element(By.ID, "slider")
    if last == 0:
        if slider.is_enabled() or driver.find_element(By.ID, "play").is_enabled():
            yield "one saved time, and yet a slider"
        return
    before = seen(driver)
    ActionChains(driver).move_to_element_with_offset(slider, slider.size["width"] // 4, 0).click().perform()
    settle(driver)
    frame = frame_now(driver)
    if not 0.6 * last < frame < 0.9 * last:
        yield f"a click at three quarters of the slider leads to {frame} of {last}"
    yield from shows(driver, data, frame)
    changed = [part for part, drawn in seen(driver).items() if drawn != before[part]]
    if "charts" not in changed or ("geometries" not in changed and moves(data, frame)):
        yield f"only {changed} changed"
    page_step = max(1, round(last / 10))
    for key, expected in (
        (Keys.HOME, 0), (Keys.ARROW_RIGHT, 1), (Keys.END, last), (Keys.ARROW_LEFT, last - 1),
        (Keys.HOME, 0), (Keys.PAGE_UP, page_step),
    ):  # fmt: skip
        slider.send_keys(key)
        settle(driver)
        if abs(frame_now(driver) - expected) > (page_step // 2 + 1 if key == Keys.PAGE_UP else 0):
            yield f"the slider's key {key!r} leads to {frame_now(driver)}, not {expected}"
        yield from shows(driver, data, frame_now(driver))
    plot = driver.find_element(By.CSS_SELECTOR, "#chart-loss .plot")
    for key, expected in (
        (Keys.END, last),
        (Keys.ARROW_LEFT, last - 1),
        (Keys.HOME, 0),
        (Keys.PAGE_UP, page_step),
    ):
        plot.send_keys(key)
        if frame_now(driver) != expected:
            yield f"the picture's key {key!r} leads to {frame_now(driver)}, not {expected}"
    if "total" not in str(plot.get_attribute("aria-valuetext")):
        yield "a screen reader is not told the values of a picture"


def plays(driver: WebDriver, page: Path) -> Iterator[str]:
    """Play moves on, stops when asked and at the end; where motion is not wanted it goes in few steps."""
    view(driver, page, DESKTOP)
    last = len(data_of(driver)["s"]) - 1
    if last == 0:
        return
    play = driver.find_element(By.ID, "play")
    if last < 20:
        yield from _plays_to_the_end(driver, play, last)
        return
    play.click()
    until(lambda: frame_now(driver) > 0, 2.0)
    first = frame_now(driver)
    until(lambda: frame_now(driver) > first, 2.0)
    if play.text != "Stop" or play.get_attribute("aria-pressed") is not None:
        yield f"while it plays, the button is {play.text!r}, pressed: {play.get_attribute('aria-pressed')}"
    if not 0 < first < last or not first < frame_now(driver) < last:
        yield f"playing leads to {first}, then {frame_now(driver)} of {last}"
    yield from _keeps_its_place(driver, last)
    play.click()
    stopped = frame_now(driver)
    time.sleep(0.3)
    if frame_now(driver) != stopped or play.text != "Play":
        yield "it does not stop"
    if "Stopped at s" not in driver.find_element(By.ID, "spoken").get_attribute("textContent"):
        yield "a screen reader is not told where it stopped"
    yield from _plays_to_the_end(driver, play, last)
    view(driver, page, DESKTOP, prefers_reduced_motion="reduce")
    play = driver.find_element(By.ID, "play")
    play.click()
    time.sleep(0.5)
    if frame_now(driver) != 0:
        yield "it moves although no motion is wanted"
    play.click()


def _keeps_its_place(driver: WebDriver, last: int) -> Iterator[str]:
    """Another speed holds from now on: what was played stays played."""
    script = """
    const [speed, slider] = ["speed", "slider"].map((id) => document.getElementById(id));
    const before = Number(slider.value);
    speed.value = arguments[0];
    speed.dispatchEvent(new Event("change"));
    setTimeout(() => arguments[1]([before, Number(slider.value)]), 100);
    """
    for speed in ("0.5", "1"):
        before, after = driver.execute_async_script(script, speed)
        if not before <= after <= before + max(2.0, 0.1 * last):
            yield f"at speed {speed} it goes from {before} to {after} of {last}"


def _plays_to_the_end(driver: WebDriver, play: WebElement, last: int) -> Iterator[str]:
    driver.find_element(By.ID, "slider").send_keys(Keys.END + Keys.ARROW_LEFT)
    play.click()
    until(lambda: frame_now(driver) == last and play.text == "Play", 3.0)
    if frame_now(driver) != last or play.text != "Play":
        yield "it does not stop at the end"


def points_out(driver: WebDriver, page: Path) -> Iterator[str]:
    """Hovering over a curve and over a point tells values; a touch chooses a time."""
    view(driver, page, DESKTOP)
    data = data_of(driver)
    last = len(data["s"]) - 1
    plot = driver.find_element(By.CSS_SELECTOR, "#chart-loss .plot")
    into_view(driver, plot)
    ActionChains(driver).move_to_element(plot).perform()
    settle(driver)
    told = plot.find_element(By.CLASS_NAME, "tip").text
    curves = data["charts"][0]["curves"]
    if not told.startswith("s = ") or not all(curve["name"] in told for curve in curves):
        yield f"hovering over the loss tells {told!r}"
    else:
        s = number_in(told.splitlines()[0].removeprefix("s = "))
        frame = min(range(last + 1), key=lambda k: abs(data["s"][k] - s))
        total = number_in(told.splitlines()[1].removeprefix(f"{curves[0]['name']} "))
        if not any(
            near(total, curves[0]["values"][k]) for k in range(max(0, frame - 1), min(last, frame + 1) + 1)
        ):
            yield f"hovering tells {told!r}, the data say {curves[0]['values'][frame]}"
    if last:
        into_view(driver, plot)
        box, top = plot.rect, driver.execute_script("return scrollY")
        before = frame_now(driver)
        tap(driver, box["x"] + 0.8 * box["width"], box["y"] - top + 0.5 * box["height"])
        settle(driver)
        if frame_now(driver) == before:
            yield "a touch on a picture chooses no time"
    for figure in driver.find_elements(By.CLASS_NAME, "geometry"):
        yield from _point_of(driver, figure)


def _point_of(driver: WebDriver, figure: WebElement) -> Iterator[str]:
    pick = figure.find_element(By.CLASS_NAME, "pick")
    number = str(pick.get_attribute("max"))
    pick.send_keys(number)
    settle(driver)
    ring = figure.find_elements(By.CSS_SELECTOR, ".ring")
    told = figure.find_element(By.CLASS_NAME, "told").text
    named = f"point {number}" in told or figure.get_attribute("data-what") == "cluster"
    if not ring or "image" not in told or not named:
        yield f"point {number}: {len(ring)} rings, {told!r}"
        return
    within = [mark for mark in ring if inside(driver, mark, figure)]
    if within:
        into_view(driver, figure)
        ActionChains(driver).move_to_element(within[-1]).perform()
        settle(driver)
        tip = figure.find_element(By.CLASS_NAME, "tip")
        if not tip.is_displayed() or "image" not in tip.text:
            yield f"hovering over point {number} tells {tip.text!r}"
    before = figure.get_attribute("innerHTML")
    for name in ("orthants", "lines", "turn", "tilt"):
        for control in figure.find_elements(By.CLASS_NAME, name):
            control.send_keys(Keys.ARROW_RIGHT if name in ("turn", "tilt") else Keys.SPACE)
            settle(driver)
            after = figure.get_attribute("innerHTML")
            if after == before and name != "lines":
                yield f"{name} changes nothing"
            before = after


def lists(driver: WebDriver, page: Path) -> Iterator[str]:
    """The list of events has its pages and its filter, and the jumps lead from event to event."""
    view(driver, page, DESKTOP)
    data = data_of(driver)
    rows = data["events"]["rows"]
    if not rows:
        return
    log = driver.find_element(By.ID, "log")
    shown = [
        row.find_element(By.TAG_NAME, "th").text for row in log.find_elements(By.CSS_SELECTOR, "tbody tr")
    ]
    if shown != [row[0].replace("-", "−") for row in rows[:50]]:
        yield "the list does not begin with the first events"
    later = log.find_elements(By.TAG_NAME, "button")[1]
    if later.is_enabled() != (len(rows) > 50):
        yield "the list has no further page, or one too many"
    if later.is_enabled():
        into_view(driver, later)
        later.click()
        if log.find_element(By.CSS_SELECTOR, "tbody th").text != rows[50][0].replace("-", "−"):
            yield "the second page does not begin with the event after the first page"
    kind = rows[-1][1]
    log.find_element(By.CSS_SELECTOR, f"option[value='{kind}']").click()
    names = {
        row.find_elements(By.TAG_NAME, "td")[0].text for row in log.find_elements(By.CSS_SELECTOR, "tbody tr")
    }
    if names != {data["events"]["kinds"][kind]}:
        yield f"the filter shows {names}"
    if len(data["s"]) > 1:
        driver.execute_script("scrollTo(0, 0)")
        counts = [sum(pair) for pair in data["events"]["counts"]]
        expected = next((k for k, many in enumerate(counts) if many and k), len(counts) - 1)
        driver.find_element(By.ID, "next").click()
        if frame_now(driver) != expected:
            yield f"the next event is at {frame_now(driver)}, not {expected}"


def focuses(driver: WebDriver, page: Path) -> Iterator[str]:
    """The first controls can be reached by tab, and each shows that it has the focus."""
    view(driver, page, DESKTOP)
    driver.find_element(By.TAG_NAME, "body").click()
    reached = set()
    for _ in range(24):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        element = driver.switch_to.active_element
        if element.tag_name == "body":  # the last control has been passed
            break
        reached.add(element.get_attribute("id") or element.get_attribute("class") or element.tag_name)
        if element.value_of_css_property("outline-style") == "none":
            yield f"{element.tag_name} {element.get_attribute('id')} does not show the focus"
        for other in driver.execute_script(UNDER_THE_RING):
            yield f"the ring round {element.get_attribute('id')} lies over {other}"
    wanted = {"play", "slider"} if len(data_of(driver)["s"]) > 1 else {"plot"}
    if not wanted <= reached:
        yield f"by tab one reaches {sorted(reached)}"


CHECKS: tuple[Check, ...] = (
    quiet, harmless, looks, printed, scriptless, accessible, forced, slides, plays, points_out, lists, focuses, quiet,
)  # fmt: skip
