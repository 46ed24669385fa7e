"""The hypotheses of a flow's theorem, checked on a problem before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from truncflow_cli.cluster_names import called, cluster_names
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Problem


@dataclass(frozen=True)
class Finding:
    """One hypothesis, as found on a problem.

    Attributes:
        name: short name.
        statement: what is assumed.
        source: number of the equation or theorem in the paper.
        holds: whether it does.
        margin: how far it is from failing, or by how much it fails (negative); NaN where there is no measure.
        closest: what is closest to failing, or fails most: which point, cluster, layer and coordinate.
        remedy: what would mend it; empty where it holds, or where no remedy is known.
        needed: whether the flow's theorem assumes it (else it says what more could be concluded).
    """

    name: str
    statement: str
    source: str
    holds: bool
    margin: float
    closest: str
    remedy: str
    needed: bool = True


def check(problem: Problem, notes: Mapping[str, str | float]) -> list[Finding]:
    """Check every hypothesis of the theorem on the problem's flow, at s = 0.

    The flow's own function is asked, (problem, names of the clusters) -> findings: the part "hypotheses" of its entry.

    Args:
        problem: the initial value problem.
        notes: what was found while it was built; "clusters" holds the clusters' names.
    """
    hypotheses = flow_named(problem.flow).part("hypotheses")
    names = called(cluster_names(notes, problem.n_clusters))
    return [] if hypotheses is None else list(hypotheses(problem, names))
