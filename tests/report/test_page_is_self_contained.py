"""A page is one well-formed file that asks for nothing else, and that keyboard and screen reader can use."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re

import page_samples as samples
import pytest
from page_reading import Page
from recorded_runs import solve

from truncflow_cli.report.page.document import page

RUNS = {
    **{flow: lambda flow=flow: samples.solved(flow) for flow in samples.FLOWS},
    "a line": lambda: solve(samples.LINE),
    "hostile": lambda: samples.hostile(samples.solved("separated")),
    "one time": lambda: samples.first_times(samples.solved("separated"), 1, status="interrupted"),
}


@pytest.fixture(scope="module", params=RUNS)
def text(request: pytest.FixtureRequest) -> str:
    return page(RUNS[request.param]())


@pytest.fixture(scope="module")
def read(text: str) -> Page:
    return Page(text)


def test_it_is_well_formed(text, read):
    assert text.startswith("<!doctype html>\n<html lang=")
    assert not read.faults
    ids = [element.attributes["id"] for element in read.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))


def test_nothing_is_fetched(read):
    for element in read.elements:
        for name in ("src", "srcset", "href", "action", "data", "poster", "background"):
            address = element.attributes.get(name)
            assert address is None or (name == "href" and address.startswith("#")), element
        assert "style" not in element.attributes, element
        assert not [name for name in element.attributes if name.startswith("on")], element
    for element in read.all("style") + read.all("script")[1:]:
        assert not re.search(
            r"@import|url\(\s*['\"]?(?!#)(?!\$\{)[a-z/]", element.text.replace("url(#", "")
        ), "a reference"
        assert not re.search(
            r"fetch\(|XMLHttpRequest|import\(|WebSocket|EventSource|sendBeacon", element.text
        )
        addresses = set(re.findall(r"https?:[^\s\"'`]*", element.text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, "the name of SVG is the only address"


def test_the_policy_allows_this_script_and_style_and_nothing_else(read):
    (meta,) = read.all("meta", http_equiv="Content-Security-Policy") or [
        e for e in read.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    policy = meta.attributes["content"] or ""
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    sums = {
        tag: "'sha256-"
        + base64.b64encode(hashlib.sha256(read.all(tag)[-1].text.encode()).digest()).decode()
        + "'"
        for tag in ("style", "script")
    }
    assert parts == {
        "default-src": "'none'",
        "script-src": sums["script"],
        "style-src": sums["style"],
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert len(read.all("style")) == 1
    assert len(read.all("script")) == 2


def test_every_control_has_a_name(read):
    labelled = ("input", "select", "button")
    for element in read.elements:
        if element.tag in labelled:
            named = element.attributes.get("aria-label") or "label" in element.parents or element.text.strip()
            assert named, element
    targets = {element.attributes.get("id") for element in read.elements}
    for link in read.all("a"):
        assert (link.attributes["href"] or "")[1:] in targets


def test_headings_and_tables_have_their_order(read):
    levels = [int(element.tag[1]) for element in read.elements if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for header in read.all("th"):
        assert header.attributes.get("scope") in ("row", "col")
    assert len(read.all("caption")) == len(read.all("table"))


def test_only_what_changes_by_itself_is_announced(read):
    live = [element for element in read.elements if "aria-live" in element.attributes]
    assert [element.attributes["id"] for element in live] == ["spoken"]
    assert not read.all("output"), "these are announced whenever they change"
