"""The geometry and the loss of a run as the frames of an animation."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from truncflow_cli.errors import UserError
from truncflow_cli.problem import IntArray
from truncflow_cli.report.figures.geometry import (
    draw_axes,
    draw_panel,
    marks,
    outer,
    said,
    scene_for,
    time_text,
    title_of,
    windows,
)
from truncflow_cli.report.figures.loss import draw_curves, draw_ticks
from truncflow_cli.report.figures.panels import legend_below, remark, value_axis
from truncflow_cli.report.figures.style import GREY, WIDTH, new_figure
from truncflow_cli.report.figures.subject import Subject

#: Width of a panel at most, in inches.
WIDEST = 4.2
#: Height of the loss, and of what stands around the panels, in inches.
LOSS = 1.7
AROUND = 1.0
#: Height of the event ticks, relative to that of the loss.
TICKS = 0.2


class Film:
    """A figure that is drawn anew for each frame; the loss and the layout stay.

    Attributes:
        figure: the figure.
    """

    def __init__(self, subject: Subject, times: IntArray, most_layers: int, dpi: int) -> None:
        """Set the scene: times (F,) are the saved times of the frames."""
        self._subject, self._times = subject, times
        scene = scene_for(subject, most_layers)
        if scene is None:
            raise UserError(f"{subject.run.path}: flow {subject.run.flow} has no geometry to be animated")
        self._scene = scene
        self._views = [scene.panels(int(t)) for t in times]
        self._windows = windows(scene, self._views)
        columns = len(self._windows)
        side = self._windows[0].shape * min(WIDTH / columns, WIDEST)
        self.figure: Figure = new_figure(side + AROUND + LOSS)
        self.figure.set_dpi(dpi)
        self._arrange(columns)
        self.frame(0)
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def frame(self, number: int) -> NDArray[np.uint8]:
        """Return the image of one frame, (height, width, 3)."""
        t = int(self._times[number])
        scene = self._scene
        for axes, panel, window in zip(self._panels, self._views[number], self._windows, strict=True):
            axes.clear()
            draw_panel(axes, panel, scene, window)
            axes.set_title(title_of(self._subject, panel))
            outer(axes, scene, first=True, last=True)
        if scene.projection.dim == 3:
            draw_axes(self._panels[-1], self._views[0][-1], scene, self._windows[-1])
        for cursor in self._cursors:
            cursor.set_xdata([self._subject.run.s[t]] * 2)
        self._clock.set_text(time_text(self._subject, t))
        canvas = self.figure.canvas
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()

    def _arrange(self, columns: int) -> None:
        subject, events = self._subject, self._subject.run.events
        height = float(self.figure.get_size_inches()[1]) - LOSS
        upper, lower = self.figure.subfigures(2, 1, height_ratios=(height, LOSS))
        self._panels = upper.subplots(1, columns, squeeze=False)[0]
        legend_below(upper, marks(subject, self._views, self._scene))
        ratios = (1.0, TICKS) if events.size else (1.0,)
        rows = lower.subplots(len(ratios), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
        shown = draw_curves(rows[0], subject)
        value_axis(rows[0], shown)
        rows[0].set_ylabel(r"loss $\mathcal{C}$")
        if events.size:
            draw_ticks(rows[1], subject, {"events": events})
        for row in rows:
            subject.timeline.apply(row, label=row is rows[-1])
        self._cursors = [row.axvline(0.0, color=GREY, linewidth=1.0) for row in rows]
        self._clock = rows[0].set_title("", loc="right")
        remark(self.figure, subject.remarks(*said(subject, self._scene)))
