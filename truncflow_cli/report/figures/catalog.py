"""Every figure, by the name that its files get: a new one is its function and one entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType

from matplotlib.figure import Figure

from truncflow_cli.flows.registry import flow_named
from truncflow_cli.report.figures import curves, geometry, loss, motion, truncation
from truncflow_cli.report.figures.style import applied
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.report.quantities import Condition, any_flow, has, has_only
from truncflow_cli.run_data import Run

#: Each is drawn for the flows that it suits; None is returned where a run has nothing that it could show.
FIGURES: MappingProxyType[str, tuple[Condition, Callable[[Subject], Figure | None]]] = MappingProxyType(
    {
        "loss": (any_flow, loss.figure),
        "truncation": (has("beta", "R"), truncation.figure),
        "truncated-fraction": (has("beta", "R", "truncated_fraction"), truncation.fraction),
        "motion": (has("beta", "R"), motion.figure),
        "energy-balance": (any_flow, curves.balance),
        "geometry": (any_flow, geometry.figure),
        "invariant": (has("B", "W"), curves.invariant),
        "norms": (has("B", "W"), curves.norms),
        "modes": (has_only("W"), curves.modes),
        "states": (any_flow, curves.states),
    }
)


def figures_of(run: Run) -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of everything that can be shown of a run."""
    subject, flow = Subject(run), flow_named(run.flow)
    for name, (suits, draw) in FIGURES.items():
        if not suits(flow):
            continue
        with applied():
            figure = draw(subject)
        if figure is not None:
            yield name, figure
