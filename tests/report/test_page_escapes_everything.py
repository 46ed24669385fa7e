"""Names, messages, statements and the config are text on the page, whatever is in them."""

from __future__ import annotations

import json

import page_samples as samples
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from page_reading import Page
from page_samples import HOSTILE, HOSTILE_YAML

from truncflow_cli.report.page.document import page
from truncflow_cli.report.page.markup import clean, escape, formula, script_json


@pytest.fixture(scope="module")
def read() -> Page:
    return Page(page(samples.hostile(samples.solved("separated"))))


def test_no_text_becomes_an_element(read):
    tame = Page(page(samples.solved("separated")))
    assert not read.faults
    assert {element.tag for element in read.elements} <= {element.tag for element in tame.elements}
    assert not read.all("img")


def test_every_text_is_there_as_it_is(read):
    shown = " ".join(clean(HOSTILE).split())
    assert read.all("title")[0].text.startswith("<script><img")  # shortened, and without the slash of a path
    assert "�" in shown and shown in read.words
    places = {
        "command": [e for e in read.all("code") if "pre" in e.parents][1].text,
        "warning": read.all("p", class_="warning")[0].text,
        "statement": read.all("article")[0].text,
    }
    assert clean(HOSTILE_YAML) in next(e for e in read.all("code") if "pre" in e.parents).text
    for place, text in places.items():
        assert shown in " ".join(text.split()), place


def test_names_in_the_data_cannot_end_the_script(read):
    (data,) = read.all("script", id="data")
    assert "<" not in data.text and "&" not in data.text
    assert read.data["names"][0].startswith("</script><img")


@given(st.text())
def test_any_text_survives_as_json(text):
    written = script_json({"text": text})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"text": clean(text)}
    assert written.encode()


@given(st.text())
@example("`a^{b`c}")
@example("x_{a^{b}}_c")
def test_any_text_survives_as_html(text):
    for form in (escape, formula):
        read = Page(f'<p title="{escape(text)}">{form(text)}</p>')
        assert not read.faults
        assert {element.tag for element in read.elements} <= {"p", "sup", "sub", "code"}
        assert read.elements[0].attributes["title"] == clean(text)
    assert Page(f"<p>{escape(text)}</p>").elements[0].text == clean(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("e^{−2 s}", "e<sup>−2 s</sup>"),
        ("R_ℓᵀR_ℓ", "R<sub>ℓ</sub>ᵀR<sub>ℓ</sub>"),
        ("−β^(ℓ) in R^13", "−β<sup>(ℓ)</sup> in R<sup>13</sup>"),
        (
            "∂_s β, x_{n+1}, mean_i |x_ji|",
            "∂<sub>s</sub> β, x<sub>n+1</sub>, mean<sub>i</sub> |x<sub>ji</sub>|",
        ),
        ("`truncflow run`", "<code>truncflow run</code>"),
        ("separation_lost, on_x, max_events", "separation_lost, on_x, max_events"),
    ],
)
def test_formulas_are_raised_and_lowered(text, written):
    assert formula(text) == written
