"""``truncflow check``."""

from __future__ import annotations

import dataclasses
import sys
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
    from truncflow_cli.diagnostics import hypotheses as hypotheses

    experiment = _load(config, settings or ())
    built = _build(experiment)
    findings = hypotheses.check(built.problem, built.notes)
    if as_json:
        from truncflow_cli.report.json_output import print_json

        print_json(check_json(experiment, built, findings))
    else:
        _print_text(built, findings)


def _load(path: Path, settings: Sequence[str]) -> Experiment:
    """Load a config; what would keep it from starting, a hypothesis that fails, is what is asked for here."""
    from truncflow_cli import config

    experiment = config.load(path, settings)
    if experiment.config.integrator.on_separation_lost != "stop":
        return experiment
    return config.load(path, [*settings, "integrator.on_separation_lost=record"])


def _build(experiment: Experiment) -> Built:
    from truncflow_cli import config

    built = config.build(experiment)
    for warning in built.warnings:
        say(f"warning: {warning}")
    return built


def check_json(experiment: Experiment, built: Built, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what --json prints."""
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
        "warnings": list(built.warnings),
    }


def _print_text(built: Built, findings: Sequence[Finding]) -> None:
    from rich.console import Console

    from truncflow_cli.report.checks import render_findings

    console = Console()
    with console.capture() as captured:
        render_findings(built.problem, findings, built.notes, console)
    sys.stdout.write(captured.get())
