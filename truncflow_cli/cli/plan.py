"""What ``truncflow run --dry-run`` prints: the run that would be made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from truncflow_cli.errors import UserError
from truncflow_cli.runner import Plan, finished_run
from truncflow_cli.store import estimate_bytes

#: What an event takes in the run file.
_EVENT_BYTES = 30


def plan_json(plan: Plan, force: bool) -> dict[str, Any]:
    """Return the plan as what --json prints."""
    problem = plan.built.problem
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
        "output_state": _output_state(plan, force),
        "bytes": estimate_bytes(problem),
        "notes": plan.built.notes,
        "warnings": list(plan.built.warnings),
    }


def plan_lines(plan: Plan, force: bool) -> Iterator[str]:
    """Yield the plan as lines of text."""
    facts = plan_json(plan, force)
    frozen = ", rotation frozen" if facts["rotation_frozen"] else ""
    rows = {
        "would run": f"{facts['name']} ({facts['config']})",
        "flow": f"{facts['flow']}, equations {facts['equations']}{frozen}",
        "data": f"N = {facts['points']} points, C = {facts['clusters']} clusters, Q = {facts['dim']}",
        "layers": f"L = {facts['layers']}",
        "time": f"s = 0 to {facts['s_end']:g}, {facts['saved']} saved times",
        "tolerance": f"rtol {facts['rtol']:g}, atol {facts['atol']:g}",
        "output": f"{facts['output']} ({facts['output_state']})",
        "size": f"about {facts['bytes'] / 1e6:.2g} MB, and {_EVENT_BYTES} bytes an event",
        **{name: f"{note:.6g}" if isinstance(note, float) else note for name, note in facts["notes"].items()},
    }
    width = max(map(len, rows))
    for name, text in rows.items():
        yield f"{name:{width}}  {text}"


def _output_state(plan: Plan, force: bool) -> str:
    if force and plan.target.exists():
        return "exists and would be replaced"
    try:
        finished = finished_run(plan)
    except UserError as error:
        return f"would be refused: {error}"
    if finished is None:
        return "new"
    finished.close()
    return "complete already, would be left alone"
