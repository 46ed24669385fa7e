"""Every figure, by the name that its files get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType

from matplotlib.figure import Figure

from truncflow_cli.report.figures import (
    balance,
    fraction,
    geometry,
    invariant,
    loss,
    modes,
    motion,
    norms,
    truncation,
)
from truncflow_cli.report.figures.style import applied
from truncflow_cli.report.figures.subject import Subject
from truncflow_cli.runfile import RunFile

#: Each returns its figure, or None where the run has nothing that it could show.
FIGURES: MappingProxyType[str, Callable[[Subject], Figure | None]] = MappingProxyType(
    {
        "loss": loss.figure,
        "truncation": truncation.figure,
        "truncated-fraction": fraction.figure,
        "motion": motion.figure,
        "energy-balance": balance.figure,
        "geometry": geometry.figure,
        "invariant": invariant.figure,
        "norms": norms.figure,
        "modes": modes.figure,
    }
)


def figures_of(run: RunFile) -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of everything that can be shown of a run."""
    subject = Subject(run)
    for name, draw in FIGURES.items():
        with applied():
            figure = draw(subject)
        if figure is not None:
            yield name, figure
