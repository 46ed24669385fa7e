"""What ``truncflow run --dry-run`` prints: the run that would be made."""

from __future__ import annotations

from typing import Any

from truncflow_cli.api import Plan, Resumption, finished_run, resumption
from truncflow_cli.cli.output import print_facts
from truncflow_cli.errors import UserError
from truncflow_cli.report.json_output import print_json
from truncflow_cli.resources import check_needs, in_units, needs_of

#: What an event takes in the run file.
_EVENT_BYTES = 30


def plan_json(plan: Plan, force: bool, resume: bool) -> dict[str, Any]:
    """Return the plan as what --json prints."""
    problem = plan.built.problem
    needs = needs_of(problem)
    return {
        "name": plan.experiment.name,
        "config": plan.experiment.path,
        "flow": problem.flow,
        "equations": problem.equations,
        "rotation_frozen": problem.settings.freeze_rotation,
        "points": len(problem.x),
        "clusters": problem.n_clusters,
        "layers": problem.n_layers,
        "dim": problem.dim,
        "s_end": problem.settings.s_end,
        "rtol": problem.settings.rtol,
        "atol": problem.settings.atol,
        "saved": len(problem.s_save),
        "output": plan.target,
        "output_state": _output_state(plan, force, resume),
        "bytes": needs.file,
        "memory_bytes": needs.memory,
        "refused": _refusal(plan),
        "notes": plan.built.notes,
        "warnings": plan.built.warnings,
    }


def print_plan(plan: Plan, force: bool, resume: bool, as_json: bool) -> None:
    """Print the plan, as lines of text or as JSON."""
    facts = plan_json(plan, force, resume)
    if as_json:
        print_json(facts)
        return
    frozen = ", rotation frozen" if facts["rotation_frozen"] else ""
    print_facts(
        {
            "would run": f"{facts['name']} ({facts['config']})",
            "flow": f"{facts['flow']}, equations {facts['equations']}{frozen}",
            "data": f"N = {facts['points']} points, C = {facts['clusters']} clusters, Q = {facts['dim']}",
            "layers": f"L = {facts['layers']}",
            "time": f"s = 0 to {facts['s_end']:g}, {facts['saved']} saved times",
            "tolerance": f"rtol {facts['rtol']:g}, atol {facts['atol']:g}",
            "output": f"{facts['output']} ({facts['output_state']})",
            "size": f"about {in_units(facts['bytes'])}, and {_EVENT_BYTES} bytes an event",
            "memory": f"about {in_units(facts['memory_bytes'])}",
            **({"refused": facts["refused"]} if facts["refused"] else {}),
            **{
                name: f"{note:.6g}" if isinstance(note, float) else note
                for name, note in facts["notes"].items()
            },
        }
    )


def _refusal(plan: Plan) -> str:
    """Say why the run would not be begun; nothing if it fits the machine."""
    try:
        check_needs(plan.built.problem, plan.target)
    except UserError as error:
        return str(error)
    return ""


def _output_state(plan: Plan, force: bool, resume: bool) -> str:
    if force and plan.target.exists():
        return "exists and would be replaced"
    try:
        there = resumption(plan) if resume else finished_run(plan)
    except UserError as error:
        return f"would be refused: {error}"
    if there is None:
        return "new"
    if isinstance(there, Resumption):
        return there.note
    there.close()
    return "complete already, would be left alone"
