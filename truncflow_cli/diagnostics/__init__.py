"""Statements of the paper, certified on a run: one module a theorem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truncflow_cli.certificate import Certificate, Verdict

if TYPE_CHECKING:
    from truncflow_cli.run_data import RunLike

__all__ = ["NAMES", "Certificate", "Verdict", "certify"]

#: Every certificate, in the order of the paper's theorems.
NAMES = (
    "stored_loss",
    "loss_monotone",
    "gradient_parts",
    "energy_balance",
    "dissipation",
    "event_log",
    "orthogonality",
    "separation",
    "composition",
    "equilibrium",
    "collapse_law",
    "full_truncation",
    "bias_decay",
    "frozen_times",
    "frozen_path",
    "general_equals_separated",
    "collapsed_data",
    "invariant",
    "propagators",
    "loss_bound",
    "norm_bounds",
    "limit",
    "clustered_data",
    "closed_form",
    "least_squares",
    "neural_collapse",
    "within_loss",
)


def certify(run: RunLike) -> list[Certificate]:
    """Certify every statement on a run, in the order of ``NAMES``, from its saved states alone.

    A statement about another flow comes out "not applicable", one whose hypothesis this run does not meet
    "hypothesis not met". A run that was stopped early is certified as far as it goes.
    """
    from truncflow_cli.diagnostics import (
        assumptions,
        clustered,
        collapsed,
        equilibria,
        event_log,
        fields,
        frozen,
        full_truncation,
        loss_decrease,
        neural_collapse,
        separation,
    )
    from truncflow_cli.diagnostics.analysis import Evidence

    evidence = Evidence(run)
    if not evidence.s.size:
        return []
    parts = (
        loss_decrease,
        event_log,
        separation,
        equilibria,
        full_truncation,
        frozen,
        fields,
        assumptions,
        collapsed,
        clustered,
        neural_collapse,
    )
    found = {found.name: found for part in parts for found in part.certificates(evidence)}
    return [found[name] for name in NAMES]
