"""``truncflow check``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from truncflow_cli.cli.guard import say
from truncflow_cli.cli.options import ConfigFile, Debug, Settings

if TYPE_CHECKING:
    from truncflow_cli.config import Built, Experiment
    from truncflow_cli.diagnostics.hypotheses import Finding


def check(
    config: ConfigFile,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Check the hypotheses of the flow's theorem on this data.

    Which of them hold at the start, by how much, what is closest to failing, and what would mend those that
    fail. Nothing is run or written. The exit code is 0 whether they hold or not; --json tells, as "holds".
    """
    from truncflow_cli.cli.output import printed_whole
    from truncflow_cli.diagnostics import hypotheses
    from truncflow_cli.report.checks import render_findings
    from truncflow_cli.report.json_output import print_json

    experiment, built = _built(config, settings or ())
    findings = hypotheses.check(built.problem, built.notes)
    if as_json:
        print_json(_as_json(experiment, built, findings))
        return
    with printed_whole() as console:
        render_findings(built.problem, findings, built.notes, console)


def _built(path: Path, settings: Sequence[str]) -> tuple[Experiment, Built]:
    """Build a config; what would keep it from starting, a hypothesis that fails, is what is asked for here."""
    from truncflow_cli import config

    experiment = config.load(path, settings)
    if experiment.config.integrator.on_separation_lost == "stop":
        experiment = config.load(path, [*settings, "integrator.on_separation_lost=record"])
    built = config.build(experiment)
    for warning in built.warnings:
        say(f"warning: {warning}")
    return experiment, built


def _as_json(experiment: Experiment, built: Built, findings: Sequence[Finding]) -> dict[str, Any]:
    problem = built.problem
    return {
        "name": experiment.name,
        "config": experiment.path,
        "flow": problem.flow,
        "points": len(problem.x),
        "clusters": problem.n_clusters,
        "layers": problem.n_layers,
        "dim": problem.dim,
        "holds": all(finding.holds for finding in findings if finding.needed),
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "notes": built.notes,
        "warnings": built.warnings,
    }
