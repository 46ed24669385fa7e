"""What a solver hands out while it runs: a stretch of the trajectory and the events in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from truncflow_cli.events import EventLog
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import State


@dataclass(frozen=True)
class Chunk:
    """The part of a run from where the last chunk ended up to ``s``.

    Attributes:
        s: flow time reached; all samples and events up to it have been handed out.
        samples: arrays with the saved times along the first axis, by their name in the run file's
            ``trajectory`` group: always "s", "loss", "loss_cluster", "energy_balance", and the state
            ("beta", "R", "truncated_fraction" or "B", "W").
        events: events in order of s, ``EVENT_DTYPE``; none lies at or before the last chunk's events.
        switched_at: when the flow `general` took over from `separated`; None if it has not.
        counters: running totals of work done (steps, Taylor orders, located roots, ...).
        state: returns what ``solver.solve`` can go on from after this chunk. Its arrays may be the solver's own:
            they are good until the next chunk is asked for. None if the run fails after this chunk.
    """

    s: float
    samples: dict[str, Array]
    events: EventLog
    counters: dict[str, int] = field(default_factory=dict)
    switched_at: float | None = None
    state: Callable[[], State] | None = None
