"""Draws the README's picture: ``python -m truncflow_cli.docs.picture CONFIG.yaml PICTURE.svg``."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

import truncflow_cli as truncflow
from truncflow_cli.problem import Array
from truncflow_cli.report.figures.geometry import Window, draw_view
from truncflow_cli.report.figures.loss import draw_curves, draw_ticks
from truncflow_cli.report.figures.scene import Stage, View, time_text
from truncflow_cli.report.figures.style import applied, color, new_figure
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.runfile import RunFile

#: Times shown: the start, while points are being truncated, and the end.
TIMES = (0.0, 0.2, 10.0)

#: First saved time after 0: just before the first event.
FIRST = 5e-4

#: The part of the plane that is shown.
WINDOW = Window(np.array([-0.5, 0.25]), np.array([3.5, 3.3]), 3.3 / 3.5)

#: Where the name of each layer's apex stands beside it, in typographic points.
APEX_NOTES = ((11.0, 2.0), (-42.0, 0.0))


def draw(config: Path, target: Path) -> None:
    """Run ``config`` (two clusters in the plane) and draw its geometry at three times, and its loss."""
    with tempfile.TemporaryDirectory() as folder:
        times = sorted({*np.geomspace(FIRST, TIMES[-1], 301).tolist(), *TIMES})
        saved = ["save.count=null", f"save.at={times}"]
        with truncflow.run(config, out=Path(folder) / "run.h5", overrides=saved) as run, applied():
            FigureCanvasSVG(_figure(run)).print_svg(str(target), metadata={"Date": None})


def _figure(run: RunFile) -> Figure:
    subject = Subject(run)
    shown = np.array([int(np.argmin(np.abs(run.s - s))) for s in TIMES])
    stage = Stage(subject, shown)
    figure = new_figure(4.9, 9.0)
    axes = figure.subplot_mosaic("012;333;444", height_ratios=(2.8, 0.85, 0.14))
    for panel, t in enumerate(shown):
        axes[str(panel)].set_title(time_text(subject, int(t)))
        for layer, view in enumerate(stage.views(int(t))):
            _draw_layer(axes[str(panel)], view, stage, layer)
    draw_curves(axes["3"], subject)
    draw_ticks(axes["4"], subject, {"events": run.events})
    subject.timeline.apply(axes["3"], label=False)
    subject.timeline.apply(axes["4"])
    axes["3"].set(ylabel="loss", ylim=(0.0, None))
    axes["3"].legend(labels=[r"$\mathcal{C}$", "cluster 1", "cluster 2"])
    return figure


def _draw_layer(axes: Axes, view: View, stage: Stage, layer: int) -> None:
    """Draw one layer, its cluster and its label over the other, and name its apex and the label."""
    none = dataclasses.replace(view, others=view.others[:0], others_cluster=view.others_cluster[:0])
    draw_view(axes, none, stage, WINDOW)
    axes.set(xticks=range(-4, 4), yticks=range(-3, 4))
    assert view.orthant is not None, "a separated run has layers"
    _note(axes, rf"$\tilde y_{layer + 1}$", view.labels[0], (-13.0, -12.0), color(layer))
    _note(axes, rf"$-\beta^{{({layer + 1})}}$", -view.orthant.beta, APEX_NOTES[layer], color(layer))


def _note(axes: Axes, text: str, point: Array, offset: tuple[float, float], tint: str) -> None:
    """Write ``text`` beside a point (2,), ``offset`` in typographic points away from it."""
    axes.annotate(text, point, offset, textcoords="offset points", color=tint)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
