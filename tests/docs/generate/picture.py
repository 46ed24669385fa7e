"""Draws the README's picture: ``python -m tests.docs.generate.picture CONFIG.yaml PICTURE.svg``."""

from __future__ import annotations

import dataclasses
import re
import sys
import tempfile
from functools import partial
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

import truncflow_cli as truncflow
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.geometry import Window, draw_panel, scene_for, time_text
from truncflow_cli.report.figures.loss import draw_curves, draw_ticks
from truncflow_cli.report.figures.style import applied, color, new_figure
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.figures.timeline import Timeline
from truncflow_cli.report.scene import Panel, Scene
from truncflow_cli.run_data import Run

#: Times shown: the start, while points are being truncated, and the end.
TIMES = (0.0, 0.2, 10.0)

#: The axis of s is logarithmic from here on, just before the first event.
FIRST = 5e-4

#: The part of the plane that is shown.
WINDOW = Window(np.array([-0.5, 0.25]), np.array([3.5, 3.3]), 3.3 / 3.5)

#: Digits after the point of what is a length in typographic points.
DIGITS = {"d": 1, "x": 1, "y": 1}

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
NUMBER = re.compile(r"-?\d+\.\d+(?:e-\d+)?")
REFERENCE = re.compile(r"(?<=#)[\w-]+")

#: Where the name of each layer's apex stands beside it, in typographic points.
APEX_NOTES = ((11.0, 2.0), (-42.0, 0.0))


def draw(config: Path, target: Path) -> None:
    """Run ``config`` (two clusters in the plane) and draw its geometry at three times, and its loss."""
    with tempfile.TemporaryDirectory() as folder:
        spaced = [
            *np.linspace(0.0, FIRST, 5, endpoint=False).tolist(),
            *np.geomspace(FIRST, TIMES[-1], 151).tolist(),
        ]
        times = sorted({*spaced, *TIMES})
        saved = ["save.count=null", f"save.at={times}"]
        with truncflow.run(config, out=Path(folder) / "run.h5", overrides=saved) as run, applied():
            drawn = StringIO()
            FigureCanvasSVG(_figure(run)).print_svg(drawn)
    target.write_text(small(drawn.getvalue()), encoding="utf-8")


def small(svg: str) -> str:
    """Return a picture of matplotlib's without what is not seen: metadata, names, more digits than there are pixels."""
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(svg)
    used = {
        name for each in root.iter() for value in each.attrib.values() for name in REFERENCE.findall(value)
    }
    there = [each.attrib["id"] for each in root.iter() if each.get("id") in used]
    names = {name: f"m{number}" for number, name in enumerate(there)}
    for each in root.iter():
        attributes = {key.removeprefix(f"{{{XLINK}}}"): value for key, value in each.items() if key != "id"}
        if each.get("id") in names:
            attributes["id"] = names[each.attrib["id"]]
        each.attrib.clear()
        for key, value in attributes.items():
            value = REFERENCE.sub(lambda found: names.get(found[0], found[0]), value)
            if key in DIGITS:
                digits = DIGITS[key] + ("id" in attributes)  # a marker is small
                value = NUMBER.sub(partial(_rounded, digits=digits), value)
                value = re.sub(r"\s*([MLCQz])\s*|\s(?=-)", r"\1", value)
            each.set(key, value.replace(": ", ":").replace("; ", ";"))
    _simplify(root, {each.attrib["id"]: each.get("d", "") for each in root.iter() if "id" in each.attrib})
    text = ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")
    return re.sub(r">\s+<", "><", text).replace("><g", ">\n<g") + "\n"


def _rounded(number: re.Match[str], digits: int) -> str:
    return f"{round(float(number[0]), digits) + 0.0:g}"


def _simplify(element: ElementTree.Element, shapes: dict[str, str]) -> None:
    """Leave out groups that say nothing, and join paths and dots that look the same; shapes of markers by name."""
    for place, child in reversed(list(enumerate(element))):
        _simplify(child, shapes)
        if child.tag.endswith("metadata"):
            element.remove(child)
        elif child.tag.endswith("}g") and not child.attrib:
            element[place : place + 1] = list(child)
    if {child.tag for child in element} == {f"{{{SVG}}}use"}:
        _join_markers(element, shapes[element[0].attrib["href"].removeprefix("#")])
    for first, second in zip(list(element), list(element)[1:], strict=False):
        if first.tag.endswith("}path") and {**first.attrib, "d": ""} == {**second.attrib, "d": ""}:
            second.set("d", first.attrib["d"] + second.attrib["d"])
            element.remove(first)


def _join_markers(group: ElementTree.Element, shape: str) -> None:
    """Draw markers of one look as a path of dots if they are discs without an edge; else say the look once."""
    style = group[0].get("style", "")
    if len(group) == 1 or any(each.get("style", "") != style for each in group):
        return
    disc = re.match(r"M0 ([\d.]+)", shape)
    if disc is not None and shape.count("C") == 8 and style.startswith("fill") and "stroke" not in style:
        dots = "".join(f"M{each.get('x')} {each.get('y')}h0" for each in group)
        line = f"stroke-width:{2.0 * float(disc[1]):g};stroke-linecap:round"
        group[:] = [ElementTree.Element("path", d=dots, style=f"{style.replace('fill', 'stroke')};{line}")]
    elif style:
        group.set("style", style)
        for each in group:
            del each.attrib["style"]


def _figure(run: Run) -> Figure:
    subject = Subject(run)
    subject.timeline = Timeline(TIMES[-1], FIRST)
    shown = np.array([int(np.argmin(np.abs(run.s - s))) for s in TIMES])
    scene = scene_for(subject)
    assert scene is not None
    figure = new_figure(4.9, 9.0)
    axes = figure.subplot_mosaic("012;333;444", height_ratios=(2.8, 0.85, 0.14))
    for column, t in enumerate(shown):
        axes[str(column)].set_title(time_text(subject, int(t)))
        for layer, panel in enumerate(scene.panels(int(t))):
            _draw_layer(axes[str(column)], panel, scene, layer)
    draw_curves(axes["3"], subject)
    draw_ticks(axes["4"], subject, {"events": run.events})
    subject.timeline.apply(axes["3"], label=False)
    subject.timeline.apply(axes["4"])
    for name in "34":
        axes[name].xaxis.set_minor_locator(NullLocator())
    axes["3"].set(ylabel="loss", ylim=(0.0, None))
    axes["3"].legend(labels=[r"$\mathcal{C}$", "cluster 1", "cluster 2"])
    return figure


def _draw_layer(axes: Axes, panel: Panel, scene: Scene, layer: int) -> None:
    """Draw one layer, its cluster and its label over the other, and name its apex and the label."""
    none = dataclasses.replace(panel, others=panel.others[:0], others_cluster=panel.others_cluster[:0])
    draw_panel(axes, none, scene, WINDOW)
    axes.set(xticks=range(-4, 4), yticks=range(-3, 4))
    axes.tick_params(labelleft=axes.get_subplotspec().is_first_col())
    _note(axes, rf"$\tilde y_{layer + 1}$", panel.labels[0], (-13.0, -12.0), color(layer))
    _note(axes, rf"$-\beta^{{({layer + 1})}}$", -panel.sectors[0].beta, APEX_NOTES[layer], color(layer))


def _note(axes: Axes, text: str, point: Array, offset: tuple[float, float], tint: str) -> None:
    """Write ``text`` beside a point (2,), ``offset`` in typographic points away from it."""
    axes.annotate(text, point, offset, textcoords="offset points", color=tint)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
