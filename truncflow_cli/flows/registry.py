"""The flows that there are: a flow is its own modules and one entry here, and nothing else names it.

Everything that differs from flow to flow is asked of its entry: what it solves, which arrays it has, what its theorem
assumes, how it is drawn. Functions are given by where they are ("package.module:function"), and are imported when
they are first needed, so that the command line starts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from truncflow_cli.errors import UserError


@dataclass(frozen=True)
class StateArray:
    """A dataset of the trajectory that a flow has besides s, loss, loss_cluster and energy_balance.

    Attributes:
        name: its name in the group ``trajectory`` and in ``Chunk.samples``.
        axes: names of its axes (``runfile.schema.AXES``), the first of them "s".
        description: its ``description`` attribute.
        required: whether every run file of the flow has it.
    """

    name: str
    axes: tuple[str, ...]
    description: str
    required: bool = True


@dataclass(frozen=True)
class Flow:
    """One gradient flow.

    Attributes:
        name: the config's ``flow``.
        theorem: what it is in the paper.
        meaning: what moves and what each layer sees, in a sentence.
        arrays: its datasets along the trajectory.
        solve: function (problem, saved, due, take_points) -> chunks, see ``solver.solve``.
        acts_on: "own" if layer ℓ acts on cluster ℓ alone, "all" if on every cluster, "" if no layer moves.
        kernels: whether compiled code and numpy both can do its work (``integrator.backend``).
        equation: its equations of motion in the paper.
        accepts: config keys, by dotted path, that only some flows have and this one does; "key=value" is a value.
        ignores: config keys that every flow takes, and that do nothing for this one.
        constructions: the constructions of a start that meet its hypotheses.
        constructs: the construction of a start that gives no biases; without it they are zero.
        needs_clusters: whether it is nothing without training points.
        template: file of ``templates`` that ``new`` writes.
        parts: other functions that the flow brings, by what they are for; see the modules that call ``part``.
    """

    name: str
    theorem: str
    meaning: str
    arrays: tuple[StateArray, ...]
    solve: str
    acts_on: str
    kernels: bool = False
    equation: str = ""
    accepts: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    constructions: tuple[str, ...] = ()
    constructs: str | None = None
    needs_clusters: bool = True
    template: str = ""
    parts: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def layered(self) -> bool:
        """Whether β and R of the hidden layers move."""
        return bool(self.acts_on)

    def part(self, purpose: str) -> Callable[..., Any] | None:
        """Return the function that the flow has for this purpose; None if it has none."""
        return _function(self.parts[purpose]) if purpose in self.parts else None

    def solver(self) -> Callable[..., Any]:
        """Return the function that solves it."""
        return _function(self.solve)


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _parts(flow: str, *, hypotheses: str, memory: str, told: str) -> dict[str, str]:
    """Return the parts that every flow has, from the modules that have them; ``told`` names its class and its texts."""
    return {
        "start_warnings": f"truncflow_cli.config.start:{flow}",
        "hypotheses": f"truncflow_cli.diagnostics.hypotheses.{hypotheses}:{flow}",
        "memory": f"truncflow_cli.flows.{memory}:memory",
        "analysis": f"truncflow_cli.diagnostics.{hypotheses}:{told.title()}Analysis",
        "scene": f"truncflow_cli.report.scene:{told.title()}Scene",
        "quantities": f"truncflow_cli.report.flow_stories:{told}_quantities",
        "story": f"truncflow_cli.report.flow_stories:{told}_story",
    }


BETA = StateArray("beta", ("s", "layer", "input"), "cumulative bias beta^(l) of each layer")
R = StateArray("R", ("s", "layer", "coordinate", "input"), "cumulative weight R_l of each layer, orthogonal")
B = StateArray(
    "B", ("s", "input", "cluster"), "matrix B whose columns are the cumulative biases beta^(l) (8.6)"
)
W = StateArray("W", ("s", "output", "input"), "output weight W_(Q+1) (8.7), (9.7)")
TRUNCATED_FRACTION = StateArray(
    "truncated_fraction",
    ("s", "layer", "coordinate"),
    "mean of 1 - h over the points that the layer acts on, for each coordinate of its frame",
)

FLOWS: dict[str, Flow] = {
    flow.name: flow
    for flow in (
        Flow(
            name="separated",
            theorem="Theorem 3.2",
            meaning="each cluster is seen by its own layer only",
            arrays=(BETA, R, TRUNCATED_FRACTION),
            solve="truncflow_cli.flows.separated_run:solve_separated",
            kernels=True,
            acts_on="own",
            equation="(3.22) and (3.25)",
            accepts=frozenset(
                {
                    "equations",
                    "integrator.freeze_rotation",
                    "integrator.events=batched",
                    "integrator.on_separation_lost=switch",
                }
            ),
            constructions=("separated", "collapsed", "clustered"),
            template="separated.yaml",
            parts={
                **_parts("separated", hypotheses="layered", memory="separated_run", told="layered"),
                "events_mode": "truncflow_cli.flows.separated_run:events_mode",
            },
        ),
        Flow(
            name="general",
            theorem="Theorem 5.1",
            meaning="every layer sees every cluster",
            arrays=(BETA, R, TRUNCATED_FRACTION),
            solve="truncflow_cli.flows.general_run:solve_general",
            kernels=True,
            acts_on="all",
            equation="(5.4) and (5.6)",
            accepts=frozenset({"layers"}),
            ignores=frozenset({"integrator.on_separation_lost"}),
            constructions=("separated", "collapsed", "clustered"),
            template="general.yaml",
            parts=_parts("general", hypotheses="layered", memory="general_run", told="layered"),
        ),
        Flow(
            name="collapsed",
            theorem="section 8",
            meaning="standard loss, every cluster mapped to the point −β^(ℓ)",
            arrays=(B, W),
            solve="truncflow_cli.flows.collapsed:solve_collapsed",
            acts_on="",
            equation="(8.6) and (8.7)",
            accepts=frozenset({"initial.output_weight"}),
            ignores=frozenset({"integrator.backend"}),
            constructions=("collapsed",),
            needs_clusters=False,
            template="collapsed.yaml",
            parts={
                **_parts("collapsed", hypotheses="output_weight", memory="collapsed", told="collapsed"),
                "facts": "truncflow_cli.report.flow_stories:collapsed_facts",
            },
        ),
        Flow(
            name="clustered",
            theorem="section 9",
            meaning="standard loss, every cluster in the positive sector of every layer: least squares",
            arrays=(W,),
            solve="truncflow_cli.flows.clustered:solve_clustered",
            acts_on="",
            equation="(9.7)",
            accepts=frozenset({"initial.output_weight", "point_weights"}),
            ignores=frozenset({"integrator.on_separation_lost", "integrator.backend"}),
            constructions=("clustered",),
            constructs="clustered",
            template="clustered.yaml",
            parts={
                **_parts("clustered", hypotheses="output_weight", memory="clustered", told="clustered"),
                "facts": "truncflow_cli.report.flow_stories:clustered_facts",
            },
        ),
    )
}


def flow_named(name: str) -> Flow:
    """Return the entry of a flow.

    Raises:
        UserError: there is no such flow.
    """
    if name not in FLOWS:
        raise UserError(f"there is no flow {name!r}; there are {', '.join(FLOWS)}")
    return FLOWS[name]


def keys_of_some_flows() -> dict[str, list[str]]:
    """Return the config keys, and values of keys, that not every flow has, each with the names of those that do."""
    settings = sorted({setting for flow in FLOWS.values() for setting in flow.accepts})
    return {
        setting: [name for name, flow in FLOWS.items() if setting in flow.accepts] for setting in settings
    }
