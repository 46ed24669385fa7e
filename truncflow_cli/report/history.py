"""What the event log says, cluster by cluster and layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.layered import ON_SURFACE
from truncflow_cli.diagnostics.passes import blocks
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import IntArray
from truncflow_cli.run_data import Run
from truncflow_cli.truncation import coordinates, pin_intervals

#: Kinds that concern one coordinate of one point.
CROSSINGS = (Kind.TRUNCATE, Kind.RELEASE, Kind.PIN, Kind.UNPIN)


@dataclass(frozen=True)
class Truncation:
    """How one layer truncates one cluster in the course of a run.

    Attributes:
        cluster: index of the cluster.
        layer: index of the layer.
        points: N_j.
        cut: number of its points truncated in some coordinate, at the start and at the end.
        whole: number of its points truncated in all coordinates, at the start and at the end.
        counts: number of events by kind (``CROSSINGS``).
        began: time of the first of them, 0 if some point is truncated at the start; None if nothing ever is.
        ended: time of the last of them; None if there is none.
        collapsed: time from which all of the cluster stays in S_ℓ⁻, None if it does not at the end.
    """

    cluster: int
    layer: int
    points: int
    cut: tuple[int, int]
    whole: tuple[int, int]
    counts: dict[str, int]
    began: float | None
    ended: float | None
    collapsed: float | None


@dataclass(frozen=True)
class Span:
    """A stretch of time; ``stop`` is None if it goes on to the end of the run."""

    start: float
    stop: float | None


def by_kind(run: Run) -> dict[str, int]:
    """Return the number of events of each kind, all kinds, by name."""
    counts = np.bincount(run.events["kind"], minlength=len(Kind)).tolist()
    return {kind.name.lower(): counts[kind] for kind in Kind}


def truncations(run: Run) -> list[Truncation]:
    """Return the history of each cluster under each layer that acts on it; empty for flows without layers."""
    if run.beta is None or run.R is None or run.x is None or run.cluster is None or not run.x.shape[0]:
        return []
    own = flow_named(run.flow).acts_on == "own" and run.attrs.get("switched_at") is None
    ends = [(t, _released(run, float(run.s[t]))) for t in (0, -1)]
    result = []
    for cluster in range(run.y_tilde.shape[0]):
        layers = [cluster] if own else list(range(run.beta.shape[1]))
        members = np.flatnonzero(run.cluster == cluster)
        first, last = (_truncated(run, members, t, layers, released) for t, released in ends)
        for layer, (cut, whole), (cut_end, whole_end) in zip(layers, first, last, strict=True):
            mine = run.events[(run.events["layer"] == layer) & (run.events["cluster"] == cluster)]
            crossings = mine[of_kind(mine, *CROSSINGS)]
            sides = mine[of_kind(mine, Kind.COLLAPSE, Kind.UNCOLLAPSE)]
            stays = bool(sides.size) and sides["kind"][-1] == Kind.COLLAPSE
            counts = np.bincount(crossings["kind"], minlength=len(Kind)).tolist()
            result.append(
                Truncation(
                    cluster=cluster,
                    layer=layer,
                    points=members.size,
                    cut=(cut, cut_end),
                    whole=(whole, whole_end),
                    counts={kind.name.lower(): counts[kind] for kind in CROSSINGS},
                    began=0.0 if cut else (float(crossings["s"][0]) if crossings.size else None),
                    ended=float(crossings["s"][-1]) if crossings.size else None,
                    collapsed=float(sides["s"][-1]) if stays else None,
                )
            )
    return result


def _numbers(run: Run, layer: IntArray | int, point: IntArray, coordinate: IntArray) -> IntArray:
    """Return one number for each coordinate (ℓ, i, r)."""
    assert run.beta is not None and run.x is not None
    N, Q = run.x.shape
    return np.asarray((np.asarray(layer, dtype=np.int64) * N + point) * Q + coordinate)


def _released(run: Run, s: float) -> IntArray:
    """Return the numbers, ascending, of coordinates whose last event up to time s took them to the untruncated side."""
    events = run.events[: np.searchsorted(run.events["s"], s, "right")]
    events = events[of_kind(events, *CROSSINGS)][::-1]
    numbers = _numbers(run, events["layer"], events["point"], events["coordinate"])
    keys, last = np.unique(numbers, return_index=True)
    return np.asarray(keys[(events["kind"][last] == Kind.RELEASE) | (events["side"][last] == 1)])


def _truncated(
    run: Run, members: IntArray, t: int, layers: list[int], released: IntArray
) -> list[tuple[int, int]]:
    """Return how many of a cluster's points each layer truncates at saved time t: in some, in all coordinates."""
    assert run.beta is not None and run.R is not None and run.x is not None
    counts = np.zeros((len(layers), 2), dtype=np.int64)
    # The state of a run that failed may be anything.
    with np.errstate(invalid="ignore", over="ignore"):
        for _, part in blocks(1, members.size, run.x.shape[1]):
            points = run.x[members[part]]
            for position, layer in enumerate(layers):
                R, beta = run.R[t, layer], run.beta[t, layer]
                z = coordinates(points, R, beta)
                truncated = z <= 0.0
                # What lies on its surface, to rounding, is where the log says that it went last.
                i, r = np.nonzero(np.abs(z) <= ON_SURFACE * (np.abs(points).max() + np.abs(beta).max()))
                numbers = _numbers(run, layer, members[part][i], r)
                truncated[i, r] = np.searchsorted(released, numbers, "right") == np.searchsorted(
                    released, numbers
                )
                counts[position] += truncated.any(axis=1).sum(), truncated.all(axis=1).sum()
                points = np.maximum(z, 0.0) @ R - beta  # τ of (1.8)
    return [(cut, whole) for cut, whole in counts.tolist()]


def separation_spans(run: Run) -> dict[tuple[int, int], list[Span]]:
    """Return when each (cluster, layer) was not separated, by the event log."""
    spans = _spans(run, Kind.SEPARATION_LOST, Kind.SEPARATION_REGAINED, ("cluster", "layer"))
    return {(cluster, layer): each for (cluster, layer), each in spans.items()}


def departures(run: Run) -> dict[int, list[Span]]:
    """Return when each cluster was not all at −β^(ℓ), (8.1), by the log of a flow whose layers do not move."""
    if flow_named(run.flow).layered:
        return {}
    spans = _spans(run, Kind.UNCOLLAPSE, Kind.COLLAPSE, ("cluster",))
    return {cluster: each for (cluster,), each in spans.items()}


def _spans(run: Run, begins: Kind, ends: Kind, of: tuple[str, ...]) -> dict[tuple[int, ...], list[Span]]:
    """Return the stretches between events of two kinds, for each value of the indices ``of`` that has any."""
    found: dict[tuple[int, ...], list[Span]] = {}
    for event in run.events[of_kind(run.events, begins, ends)]:
        spans = found.setdefault(tuple(int(event[name]) for name in of), [])
        s = float(event["s"])
        if event["kind"] == begins:
            spans.append(Span(s, None))
        elif spans and spans[-1].stop is None:
            spans[-1] = Span(spans[-1].start, s)
    return found


def rests(run: Run) -> dict[int, float]:
    """Return when each layer came to rest (layer -1: the whole flow)."""
    resting = run.events[run.events["kind"] == Kind.REST]
    return {int(event["layer"]): float(event["s"]) for event in resting}


def longest_pin(run: Run) -> Span | None:
    """Return the longest time that a coordinate was pinned; None if none was."""
    end = float(run.s[-1])
    longest = max(pin_intervals(run.events), key=lambda pin: min(pin.stop, end) - pin.start, default=None)
    return None if longest is None else Span(longest.start, longest.stop if longest.stop < np.inf else None)
