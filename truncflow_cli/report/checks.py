"""What ``truncflow check`` shows: the hypotheses of a flow's theorem on a problem, nothing run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from truncflow_cli.diagnostics.hypotheses import Finding
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Problem
from truncflow_cli.report.console import Page
from truncflow_cli.report.numbers import count, short

#: Findings of one kind that are listed; all that fail are shown in any case.
MOST_ROWS = 24


def render_findings(
    problem: Problem, findings: Sequence[Finding], notes: Mapping[str, str | float], console: Console
) -> None:
    """Write what was found, what fails with its remedy, and what may be concluded."""
    page = Page(console)
    needed = [finding for finding in findings if finding.needed]
    failing = [finding for finding in needed if not finding.holds]
    flow = flow_named(problem.flow)
    page.picture(f"flow {flow.name} ({flow.theorem})", "bold")
    page.line(
        f"{count(problem.x.shape[0], 'point')}, {count(problem.n_clusters, 'cluster')}, "
        f"{count(problem.n_layers, 'layer')}, dimension {problem.dim}"
    )
    margin = notes.get("construct margin")
    if margin is not None:
        page.line(f"start constructed ({notes.get('construct')}), margin {short(float(margin))}")
    _table(page, "Hypotheses of the theorem", needed)
    _table(page, "What more could be concluded", [f for f in findings if not f.needed])
    page.heading("In short")
    if failing:
        number = "1 hypothesis is" if len(failing) == 1 else f"{len(failing)} hypotheses are"
        page.line(f"{number} not met.", "bold red")
    elif not needed or flow.acts_on == "all":  # the equations of the whole network assume nothing of the data
        page.line(f"The {flow.name} flow needs no hypothesis.")
    else:
        page.line("Every hypothesis of the theorem holds at the start.", "green")


def _table(page: Page, title: str, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    shown = [f for index, f in enumerate(findings) if index < MOST_ROWS or not f.holds]
    page.heading(title)
    page.table(
        ("", "hypothesis", "source", "margin"),
        [[_answer(f), f.name, f.source, short(f.margin)] for f in shown],
        right=(3,),
        styles=["green" if f.holds else ("bold red" if f.needed else "yellow") for f in shown],
    )
    if len(shown) < len(findings):
        page.line(f"and {len(findings) - len(shown)} more that hold")
    for finding in shown:
        if finding.holds:
            page.line(f"{finding.name}: closest is {finding.closest}", "dim", hanging=2)
            continue
        page.line(f"{finding.name}: {finding.statement}.", "bold" if finding.needed else "", hanging=2)
        page.line(f"closest: {finding.closest}", indent=4, hanging=2)
        if finding.remedy:
            page.line(f"remedy: {finding.remedy}", indent=4, hanging=2)


def _answer(finding: Finding) -> str:
    if finding.needed:
        return "holds" if finding.holds else "FAILS"
    return "yes" if finding.holds else "no"
