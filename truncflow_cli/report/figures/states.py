"""The norms of what a flow's state consists of, where no other figure shows it."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure

from truncflow_cli.report.figures.panels import curves, stacked
from truncflow_cli.report.figures.style import as_it_stands, look
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.quantities import norms_of


def figure(subject: Subject) -> Figure | None:
    """Draw a curve for each such array; nothing if there are none."""
    shown = [
        (values, {"label": as_it_stands(f"‖{name}‖"), **look(place)})
        for place, (name, values) in enumerate(norms_of(subject.run).items())
    ]
    return (
        stacked(subject, 2.9, [partial(curves, s=subject.run.s, shown=shown, name="norms")])
        if shown
        else None
    )
