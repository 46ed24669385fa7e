"""What the event log says, cluster by cluster and layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truncflow_cli.diagnostics.passes import blocks
from truncflow_cli.events import Kind
from truncflow_cli.problem import IntArray
from truncflow_cli.run_data import RunLike

Mask = NDArray[np.bool_]

#: Coordinates this close to 0, relative to the data, lie on their surface.
ON_SURFACE = 1e-12
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


def by_kind(run: RunLike) -> dict[str, int]:
    """Return the number of events of each kind, all kinds, by name."""
    counts = np.bincount(run.events["kind"], minlength=len(Kind))
    return {kind.name.lower(): int(counts[kind]) for kind in Kind}


def truncations(run: RunLike) -> list[Truncation]:
    """Return the history of each cluster under each layer that acts on it; empty for the other flows."""
    if run.beta is None or run.R is None or run.x is None or run.cluster is None or not run.x.shape[0]:
        return []
    counts = _counts(run)
    events = run.events
    result = []
    for (layer, cluster), (cut, whole, points) in sorted(counts.items(), key=lambda item: item[0][::-1]):
        mine = events[(events["layer"] == layer) & (events["cluster"] == cluster)]
        crossings = mine[np.isin(mine["kind"], CROSSINGS)]
        began = 0.0 if cut[0] else (float(crossings["s"][0]) if crossings.size else None)
        sides = mine[np.isin(mine["kind"], (Kind.COLLAPSE, Kind.UNCOLLAPSE))]
        stays = bool(sides.size) and sides["kind"][-1] == Kind.COLLAPSE
        result.append(
            Truncation(
                cluster=cluster,
                layer=layer,
                points=points,
                cut=cut,
                whole=whole,
                counts={
                    kind.name.lower(): int(np.count_nonzero(crossings["kind"] == kind)) for kind in CROSSINGS
                },
                began=began,
                ended=float(crossings["s"][-1]) if crossings.size else None,
                collapsed=float(sides["s"][-1]) if stays else None,
            )
        )
    return result


def _counts(run: RunLike) -> dict[tuple[int, int], tuple[tuple[int, int], tuple[int, int], int]]:
    """Return for each (layer, cluster) the points cut, those cut in all coordinates (start, end), and N_j."""
    assert run.beta is not None and run.cluster is not None
    separated = run.attrs["flow"] == "separated" and run.attrs.get("switched_at") is None
    sides = [LastSides.of(run, float(run.s[t])) for t in (0, -1)]
    result = {}
    for cluster in range(run.y_tilde.shape[0]):
        layers = [cluster] if separated else list(range(run.beta.shape[1]))
        members = np.flatnonzero(run.cluster == cluster)
        at = [_patterns(run, members, t, layers, sides[t]) for t in (0, -1)]
        for position, layer in enumerate(layers):
            (cut, whole), (cut_end, whole_end) = at[0][position], at[1][position]
            result[layer, cluster] = (cut, cut_end), (whole, whole_end), members.size
    return result


@dataclass(frozen=True)
class LastSides:
    """On which side the event log last saw each coordinate that had an event.

    Attributes:
        shape: (L, N, Q), which numbers the coordinates.
        keys: (K,) numbers of those coordinates, ascending.
        up: (K,) whether the last event took it to the untruncated side.
    """

    shape: tuple[int, int, int]
    keys: IntArray
    up: Mask

    @classmethod
    def of(cls, run: RunLike, s: float) -> LastSides:
        """Return what the log of a run with layers says at time s."""
        assert run.beta is not None and run.x is not None
        shape = (run.beta.shape[1], run.x.shape[0], run.beta.shape[2])
        events = run.events[: np.searchsorted(run.events["s"], s, "right")]
        events = events[np.isin(events["kind"], CROSSINGS)][::-1]
        numbers = np.ravel_multi_index((events["layer"], events["point"], events["coordinate"]), shape)
        keys, last = np.unique(numbers, return_index=True)
        up = np.asarray((events["kind"][last] == Kind.RELEASE) | (events["side"][last] == 1), dtype=bool)
        return cls(shape, keys.astype(np.int64), up)

    def released(self, layer: int, points: IntArray, coordinates: IntArray) -> Mask:
        """Return whether each coordinate (m,) was last seen to go up; False where it had no event."""
        numbers = np.ravel_multi_index((np.full(points.shape, layer), points, coordinates), self.shape)
        at = np.searchsorted(self.keys, numbers)
        found = np.zeros(numbers.shape, dtype=bool)
        inside = at < self.keys.size
        found[inside] = (self.keys[at[inside]] == numbers[inside]) & self.up[at[inside]]
        return found


def _patterns(
    run: RunLike, members: IntArray, t: int, layers: list[int], sides: LastSides
) -> list[tuple[int, int]]:
    """Return how many of a cluster's points each layer truncates at saved time t: in some, in all coordinates."""
    assert run.beta is not None and run.R is not None and run.x is not None
    cut, whole = np.zeros(len(layers), dtype=np.int64), np.zeros(len(layers), dtype=np.int64)
    for _, part in blocks(1, members.size, run.x.shape[1]):
        points = run.x[members[part]]
        for position, layer in enumerate(layers):
            R, beta = run.R[t, layer], run.beta[t, layer]
            with np.errstate(
                invalid="ignore", over="ignore"
            ):  # the state of a run that failed may be anything
                z = (points + beta) @ R.T
            truncated = z <= 0.0
            # What lies on its surface, to rounding, is where the log says that it went last.
            i, r = np.nonzero(np.abs(z) <= ON_SURFACE * (np.abs(points).max() + np.abs(beta).max()))
            truncated[i, r] = ~sides.released(layer, members[part][i], r)
            cut[position] += np.count_nonzero(truncated.any(axis=1))
            whole[position] += np.count_nonzero(truncated.all(axis=1))
            with np.errstate(invalid="ignore", over="ignore"):
                points = np.maximum(z, 0.0) @ R - beta
    return list(zip(cut.tolist(), whole.tolist(), strict=True))


def separation_spans(run: RunLike) -> dict[tuple[int, int], list[Span]]:
    """Return when each (cluster, layer) was not separated, by the event log."""
    spans: dict[tuple[int, int], list[Span]] = {}
    events = run.events
    for event in events[np.isin(events["kind"], (Kind.SEPARATION_LOST, Kind.SEPARATION_REGAINED))]:
        mine = spans.setdefault((int(event["cluster"]), int(event["layer"])), [])
        _note(mine, float(event["s"]), begins=bool(event["kind"] == Kind.SEPARATION_LOST))
    return spans


def departures(run: RunLike) -> dict[int, list[Span]]:
    """Return when each cluster of a `collapsed` run was not all at −β^(ℓ), (8.1), by the event log."""
    spans: dict[int, list[Span]] = {}
    if run.attrs["flow"] != "collapsed":
        return spans
    events = run.events
    for event in events[np.isin(events["kind"], (Kind.COLLAPSE, Kind.UNCOLLAPSE))]:
        mine = spans.setdefault(int(event["cluster"]), [])
        _note(mine, float(event["s"]), begins=bool(event["kind"] == Kind.UNCOLLAPSE))
    return spans


def _note(spans: list[Span], s: float, *, begins: bool) -> None:
    """Begin a stretch at s, or end the one that is open."""
    if begins:
        spans.append(Span(s, None))
    elif spans and spans[-1].stop is None:
        spans[-1] = Span(spans[-1].start, s)


def rests(run: RunLike) -> dict[int, float]:
    """Return when each layer came to rest (layer -1: the whole flow)."""
    resting = run.events[run.events["kind"] == Kind.REST]
    return {int(event["layer"]): float(event["s"]) for event in resting}


def longest_pin(run: RunLike) -> tuple[float, Span] | None:
    """Return the longest time that a coordinate was pinned, and when; None if none was."""
    since: dict[tuple[int, int, int], float] = {}
    spans: list[Span] = []
    events = run.events
    for event in events[np.isin(events["kind"], (Kind.PIN, Kind.UNPIN))]:
        key = (int(event["layer"]), int(event["point"]), int(event["coordinate"]))
        if event["kind"] == Kind.PIN:
            since[key] = float(event["s"])
        elif key in since:
            spans.append(Span(since.pop(key), float(event["s"])))
    spans += [Span(start, None) for start in since.values()]
    if not spans:
        return None
    end = float(run.s[-1])
    longest = max(spans, key=lambda span: (end if span.stop is None else span.stop) - span.start)
    return (end if longest.stop is None else longest.stop) - longest.start, longest
