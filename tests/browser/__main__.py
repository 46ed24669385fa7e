"""Drives the pages in headless Chromium: ``python -m tests.browser``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from selenium.common.exceptions import WebDriverException

from tests.browser.checks import CHECKS, DESKTOP, PHONE
from tests.browser.chromium import browser, screenshot, view
from tests.browser.pages import write_pages


def main() -> int:
    """Check every page; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="PAGE", help="check this page only")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the pages, with screenshots")
    options = parser.parse_args()
    pages = done = failures = 0
    with tempfile.TemporaryDirectory() as place, browser() as driver:
        for page in write_pages(options.keep or Path(place), options.only):
            began = time.monotonic()
            wrong = []
            for check in CHECKS:
                done += 1
                try:
                    wrong += [f"{check.__name__}: {found}" for found in check(driver, page)]
                except WebDriverException as error:
                    wrong.append(f"{check.__name__}: {str(error.msg).partition(chr(10))[0]}")
            print(f"{page.stem}: {page.stat().st_size / 1e6:.2f} MB, {time.monotonic() - began:.1f} s")
            for found in wrong:
                print(f"  {found}")
            pages, failures = pages + 1, failures + len(wrong)
            if options.keep:
                for name, width, scheme in (("phone", PHONE, "light"), ("desktop", DESKTOP, "dark")):
                    view(driver, page, width, prefers_color_scheme=scheme)
                    screenshot(driver, page.with_name(f"{page.stem}-{name}.png"))
    print(f"{pages} pages, {done} checks, {failures} failures")
    return 1 if failures or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
