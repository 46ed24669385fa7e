"""A run as the figures see it: the run file, and what is worked out from it once for all of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from truncflow_cli.diagnostics.analysis import analysis_of
from truncflow_cli.diagnostics.descent import Descent, descent
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Array, IntArray
from truncflow_cli.report.figures.style import names_of, typeset
from truncflow_cli.report.figures.timeline import Timeline
from truncflow_cli.report.numbers import count
from truncflow_cli.report.summary import Summary
from truncflow_cli.run_data import Run


class Subject:
    """A run and what its figures share: what each cluster is called, the axis of s, what follows from the states."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.names = names_of(run)
        self.timeline = Timeline.of(run)

    @property
    def layered(self) -> bool:
        """Whether the state is (β, R) of layers."""
        return self.run.beta is not None and self.run.R is not None and self.run.n_layers > 0

    @property
    def separated(self) -> bool:
        """Whether layer ℓ acts on cluster ℓ alone, from the start at least."""
        return flow_named(self.run.flow).acts_on == "own"

    @property
    def alone(self) -> bool:
        """Whether each layer acts on its own cluster alone, throughout."""
        return self.separated and not np.isfinite(self.switched_at)

    def title(self, layer: int) -> str:
        """Return which layer a panel shows, and whom it acts on."""
        return f"layer {layer} on {self.names[layer]}" if self.alone else f"layer {layer}"

    def state(self, name: str) -> Array:
        """Return an array of the trajectory that the flow has."""
        values: Array = getattr(self.run, name)
        return values

    @property
    def switched_at(self) -> float:
        """When the `general` flow took over (infinite: never)."""
        return float(self.evidence.switched_at)

    @cached_property
    def evidence(self) -> Any:
        """The flow's analysis (``LayeredAnalysis``, ...): what follows from the saved states, without the solvers."""
        return analysis_of(self.run)

    @cached_property
    def quantities(self) -> dict[str, Array]:
        """What characterises the flow along the saved times, (T,) each, by name."""
        return Summary(self.run).quantities

    @cached_property
    def descent(self) -> Descent:
        """Speeds of β and R, layer by layer, at the evaluated times."""
        return descent(self.evidence)

    def busiest_layers(self, most: int) -> IntArray:
        """Return at most so many layers, in order: all, or those with the most events."""
        layers = self.run.n_layers
        if layers <= most:
            return np.arange(layers)
        seen = self.run.events["layer"]
        counts = np.bincount(seen[seen >= 0], minlength=layers)
        return np.sort(np.argsort(-counts, kind="stable")[:most])

    def remarks(self, *more: str) -> list[str]:
        """Return what has to be said above a figure: how the run ended, which equations, and ``more``."""
        said = []
        if self.run.status != "complete":
            state = "still going on" if self.run.status == "running" else self.run.status
            said.append(f"run {state}, saved up to $s$ = {typeset(float(self.run.s[-1]))}")
        if self.run.attrs.get("equations") == "printed":
            said.append("equations as printed, not the gradient flow")
        if np.isfinite(self.switched_at):
            said.append(f"general flow from $s$ = {typeset(self.switched_at)}")
        if self.run.s.size == 1:
            said.append("a single saved time")
        return [*said, *(text for text in more if text)]

    def of_layers(self, shown: IntArray) -> str:
        """Say which layers are shown, nothing if all are."""
        total = self.run.n_layers
        few = f"{shown.size} of {count(total, 'layer')}, those with most events"
        return few if shown.size < total else ""
