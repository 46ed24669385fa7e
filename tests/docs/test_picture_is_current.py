"""The picture of the README is what its config gives, and small."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from command_line import ROOT

from tests.docs.generate import picture

KEPT = ROOT / "truncflow_cli/docs/two-clusters.svg"
POINTS = re.compile(r"M(-?[\d.]+) ?(-?[\d.]+)")


def places(svg: str) -> np.ndarray:
    """Return where lines, points and ticks begin, in typographic points."""
    return np.array([[float(x), float(y)] for x, y in POINTS.findall(svg)])


def test_it_is_what_the_config_gives(tmp_path: Path) -> None:
    picture.draw(ROOT / "configs/two-clusters.yaml", tmp_path / "now.svg")
    now, kept = (path.read_text(encoding="utf-8") for path in (tmp_path / "now.svg", KEPT))
    # Other versions of matplotlib may set letters and margins a little differently.
    assert re.sub(r"-?\d[\d.]*", "", now).count("h0") == re.sub(r"-?\d[\d.]*", "", kept).count("h0")
    assert now.count("<use") == kept.count("<use")
    np.testing.assert_allclose(places(now), places(kept), atol=3.0)


def test_it_has_nothing_but_what_is_seen() -> None:
    elements = {each.tag.partition("}")[2] for each in ElementTree.parse(KEPT).iter()}
    assert elements <= {"svg", "defs", "style", "g", "path", "use", "clipPath", "rect"}


def test_discs_of_one_look_become_dots_and_numbers_are_rounded() -> None:
    markers = "".join(
        f'<use xlink:href="#disc-of-a-marker" x="{x}.12345" y="2.0" style="fill: #ff0000"/>' for x in (1, 2)
    )
    shape = "M 0 1.58114 " + "C 1.5 1.5 1.5 1.5 1.5 1.5 " * 8 + "z"
    svg = (
        f'<svg xmlns="{picture.SVG}" xmlns:xlink="{picture.XLINK}"><metadata>who</metadata><g id="nothing">'
        f'<defs><path id="disc-of-a-marker" d="{shape}"/></defs><g>{markers}</g></g></svg>'
    )
    found = picture.small(svg)
    assert '<path d="M1.1 2h0M2.1 2h0" style="stroke:#ff0000;stroke-width:3.16;stroke-linecap:round"' in found
    assert "who" not in found and "nothing" not in found
