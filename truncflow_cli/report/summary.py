"""What every form of the report shows of a run: the terminal, JSON, CSV and the page take it from here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from truncflow_cli import cluster_names
from truncflow_cli.diagnostics import certify, names
from truncflow_cli.flows.registry import Flow, flow_named
from truncflow_cli.problem import Array
from truncflow_cli.report.history import Truncation, truncations
from truncflow_cli.report.numbers import count, listing, short
from truncflow_cli.run_data import Certificate, Run
from truncflow_cli.runfile.lock import writer_of

#: Names of clusters that are listed.
MOST_NAMES = 12


@dataclass(frozen=True)
class Summary:
    """A run and what is worked out of it, each thing once, when it is first asked for.

    What differs from flow to flow comes from the parts of the flow's entry in the registry: "quantities"
    (summary) -> curves by name, "facts" (summary) -> lines, "story" (summary) -> sentences. A flow without
    them is shown by its loss, its energy balance, its events, its certificates and the norms of its arrays.
    """

    run: Run

    @cached_property
    def flow(self) -> Flow:
        """The registry's entry of the run's flow."""
        return flow_named(self.run.flow)

    @cached_property
    def status(self) -> str:
        """How the run ended; "killed" where nobody goes on with one that says it is running."""
        status = str(self.run.attrs["status"])
        return "killed" if status == "running" and writer_of(self.run.path) == "" else status

    @cached_property
    def sizes(self) -> dict[str, int]:
        """N, C, L, Q and T; L is 0 for a flow without layers that move."""
        run = self.run
        return {
            "N": 0 if run.x is None else int(run.x.shape[0]),
            "C": int(run.y_tilde.shape[0]),
            "L": 0 if run.beta is None else int(run.beta.shape[1]),
            "Q": int(run.y_tilde.shape[1]),
            "T": int(run.s.size),
        }

    @cached_property
    def names(self) -> list[str]:
        """The names of the clusters, (C,): the index of one that has none."""
        return cluster_names.cluster_names(self.run.notes, self.sizes["C"])

    @cached_property
    def called(self) -> list[str]:
        """What a sentence calls each cluster, (C,)."""
        return cluster_names.called(self.names)

    @cached_property
    def certificates(self) -> dict[str, Certificate]:
        """The run's certificates in order; a file that has none yet is certified here."""
        run = self.run
        found = dict(run.certificates) or {certificate.name: certificate for certificate in certify(run)}
        order = {name: position for position, name in enumerate(names())}
        return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))

    def verdict(self, name: str) -> str:
        """Return the verdict of a certificate; nothing if there is no such certificate."""
        return self.certificates[name].verdict if name in self.certificates else ""

    @cached_property
    def truncations(self) -> list[Truncation]:
        """How each layer truncates each cluster that it acts on; empty if no layer moves."""
        return truncations(self.run)

    @cached_property
    def quantities(self) -> dict[str, Array]:
        """What characterises the run's flow along the saved times, (T,) each, by name."""
        part = self.flow.part("quantities")
        found = norms(self.run) if part is None else part(self)
        return {name: np.asarray(values, dtype=np.float64) for name, values in found.items()}

    @cached_property
    def facts(self) -> list[str]:
        """What is known of the flow from its start and its data alone, a line each."""
        part = self.flow.part("facts")
        return [] if part is None else part(self)

    def section(self, name: str) -> Mapping[str, Any]:
        """Return one section of the config, empty if it has none."""
        section = self.run.settings.get(name)
        return cast("Mapping[str, Any]", section) if isinstance(section, dict) else {}

    def heading(self, number: Callable[[float], str] = short) -> Iterator[tuple[str, str]]:
        """Yield what was run: a word and what there is to say of it, numbers written by ``number``."""
        run, attrs, sizes = self.run, self.run.attrs, self.sizes
        equations = "equations AS PRINTED" if attrs.get("equations") == "printed" else "exact equations"
        frozen = ", rotation frozen" if attrs.get("rotation_frozen") else ""
        yield "flow", f"{self.flow.name} ({self.flow.theorem}), {equations}{frozen}"
        if attrs.get("switched_at") is not None:
            yield "then", f"flow general from s = {number(float(attrs['switched_at']))} on"
        clusters = count(sizes["C"], "cluster" if sizes["N"] else "label")
        data = f"{count(sizes['N'], 'point')} in {clusters}" if sizes["N"] else f"no data, {clusters}"
        layers = f", {count(sizes['L'], 'layer')}" if sizes["L"] else ""
        yield "data", f"{data}, dimension {sizes['Q']}{layers}; seed {attrs.get('seed')}"
        integrator = self.section("integrator")
        end, asked = float(run.s[-1]), number_or_nan(integrator.get("s_end"))
        of = f" of {number(asked)}" if asked > end else ""
        tolerances = [f"{key} {number_or_nan(integrator.get(key)):g}" for key in ("rtol", "atol")]
        asked_for = f"; {', '.join(tolerances)}" if "rtol" in integrator else ""
        yield "time", f"s = 0 to {number(end)}{of}, {count(sizes['T'], 'saved time')}{asked_for}"
        if self.names != [str(k) for k in range(sizes["C"])]:
            yield "clusters", listing([f"{k} {name}" for k, name in enumerate(self.names)], MOST_NAMES)
        margin = number_or_nan(run.notes.get("construct margin"))
        if not math.isnan(margin):
            yield "start", f"constructed ({run.notes.get('construct')}), margin {number(margin)}"


def number_or_nan(value: object) -> float:
    """Return a number of the config, the notes or the attributes; NaN for what is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def saved(run: Run, name: str) -> Array | None:
    """Return a dataset of the trajectory (T, ...), also one that only its flow knows; None if the run has none."""
    if hasattr(type(run), name):
        values: Array | None = getattr(run, name)
        return values
    return run.source.read(f"trajectory/{name}")


def norms(run: Run) -> dict[str, Array]:
    """Return the Frobenius norm of every array that the flow's entry names, (T,) each."""
    arrays = {array.name: saved(run, array.name) for array in flow_named(run.flow).arrays}
    return {
        f"‖{name}‖": np.linalg.norm(np.reshape(values, (len(values), -1)), axis=1)
        for name, values in arrays.items()
        if values is not None
    }
