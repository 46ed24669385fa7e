"""Proposition 4.1, and the law (4.36), (4.37) of a cluster that its own layer has truncated wholly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.layered import ON_SURFACE, LayeredAnalysis, own_layers
from truncflow_cli.diagnostics.outcome import Outcome, compare, listed, not_met
from truncflow_cli.events import Kind
from truncflow_cli.problem import Array

#: How many times the error that the tolerances allow in one state a law of the state may be off.
STATE_SHARE = 10.0


@dataclass(frozen=True)
class Stretch:
    """Evaluated times first … last (inclusive) over which a cluster stays in one sector of its own layer."""

    cluster: int
    first: int
    last: int


def stretches(ev: LayeredAnalysis, sector: str) -> Iterator[Stretch]:
    """Yield where a cluster is wholly in S_ℓ⁺ ("positive") or S_ℓ⁻ ("negative") of its own layer.

    Two times belong to one stretch if the cluster is in the sector at both, without an event between.
    """
    events = ev.run.events
    alone = int(np.count_nonzero(ev.own_layer_only))
    for k, group in enumerate(ev.groups):
        if not group.size:
            continue
        passed = ev.own[k]
        surface = ON_SURFACE * ev.reach
        inside = (
            passed.lowest[:alone, 0] > surface
            if sector == "positive"
            else passed.highest[:alone, 0] < -surface
        )
        held = ev.pins[ev.pins[:, 1] == k, 0]
        inside[held[held < alone]] = False
        of_layer = (events["layer"] == k) & (events["cluster"] == k) & (events["kind"] != Kind.REST)
        times = np.sort(events["s"][of_layer])
        joined = np.zeros(alone, dtype=bool)
        gaps = np.searchsorted(times, ev.s[1:alone], "left") - np.searchsorted(
            times, ev.s[: alone - 1], "right"
        )
        joined[1:] = inside[1:] & inside[:-1] & (gaps == 0)
        starts, breaks = np.flatnonzero(inside & ~joined), np.append(np.flatnonzero(~joined), alone)
        ends = breaks[np.searchsorted(breaks, starts, "right")] - 1
        for first, last in zip(starts, ends, strict=True):
            yield Stretch(k, int(first), int(last))


def _collapsed(ev: LayeredAnalysis) -> list[Stretch]:
    return list(stretches(ev, "negative"))


@certificate(
    "equilibrium",
    order=4.1,
    source="Prop. 4.1",
    statement="a cluster that its own layer leaves wholly untruncated is at rest; while it is wholly truncated, R_ℓ "
    "is at rest and the cluster is mapped to one point",
    meaning="Where nothing is truncated nothing moves; where all is truncated the rotation has no more "
    "effect and the cluster is one point.",
    applies=LayeredAnalysis,
    needs=(own_layers,),
)
def equilibrium(ev: LayeredAnalysis) -> Outcome:
    """Measure the movement of what should rest."""
    resting, collapsed = list(stretches(ev, "positive")), ev.once(_collapsed)
    if not resting and not collapsed:
        return not_met(f"{ev.sampling()}: no cluster is wholly untruncated or wholly truncated")
    moved = np.zeros(ev.s.size)  # in units of what the tolerances allow
    for stretch in resting:
        # An equilibrium is never left: all times after the first count, whatever happened since.
        part = slice(stretch.first, int(np.count_nonzero(ev.own_layer_only)))
        moved[part] = np.maximum(moved[part], _turned(ev, stretch.cluster, part) / _turn_bound(ev))
        drift = np.abs(ev.beta[part, stretch.cluster] - ev.beta[stretch.first, stretch.cluster]).max(axis=1)
        moved[part] = np.maximum(moved[part], drift / _bias_bound(ev))
    for stretch in collapsed:
        part = slice(stretch.first, stretch.last + 1)
        moved[part] = np.maximum(moved[part], _turned(ev, stretch.cluster, part) / _turn_bound(ev))
        spread = np.sqrt(ev.own[stretch.cluster].within[part])
        moved[part] = np.maximum(moved[part], spread / _bias_bound(ev))
    text = ev.sampling()
    if resting:
        text += f"; wholly untruncated: {listed(sorted({r.cluster for r in resting}), 'cluster')}"
    if collapsed:
        text += f"; wholly truncated: {listed(sorted({c.cluster for c in collapsed}), 'cluster')}"
    text += (
        f"; movement in units of {_bias_bound(ev):.3g} (β) and {_turn_bound(ev):.3g} (R), from rtol and atol"
    )
    return compare(text, moved.max(), 1.0, {"movement": ev.along(moved)})


def _turned(ev: LayeredAnalysis, k: int, part: slice) -> Array:
    difference = ev.R[part, k] - ev.R[part.start, k]
    return np.asarray(np.sqrt(np.einsum("tij,tij->t", difference, difference)))


def _turn_bound(ev: LayeredAnalysis) -> float:
    return STATE_SHARE * ev.turn_error * ev.dim


def _bias_bound(ev: LayeredAnalysis) -> float:
    return STATE_SHARE * ev.state_error or float(np.finfo(np.float64).tiny)


@certificate(
    "collapse_law",
    order=4.1,
    source="(4.36), (4.37)",
    statement="once the cluster is wholly truncated, at s₁, R(β + ỹ)(s) = e^{−(s−s₁)} R(β + ỹ)(s₁) with R constant",
    meaning="Once a cluster is mapped to one point, that point goes straight to the label, exponentially "
    "with rate 1.",
    applies=LayeredAnalysis,
    needs=(own_layers,),
)
def collapse_law(ev: LayeredAnalysis) -> Outcome:
    """Compare R(β + ỹ) with the law along each stretch in which a cluster is wholly truncated."""
    collapsed = [stretch for stretch in ev.once(_collapsed) if stretch.last > stretch.first]
    if not collapsed:
        return not_met(f"{ev.sampling()}: no cluster is wholly truncated at two saved times in a row")
    off = np.zeros(ev.s.size)
    seen = np.zeros(ev.s.size, dtype=bool)
    for stretch in collapsed:
        k, part = stretch.cluster, slice(stretch.first, stretch.last + 1)
        b = np.einsum("tij,tj->ti", ev.R[part, k], ev.beta[part, k] + ev.run.y_tilde[k])
        law = np.exp(-(ev.s[part] - ev.s[stretch.first]))[:, None] * b[0]
        off[part] = np.maximum(off[part], np.linalg.norm(b - law, axis=1))
        off[part] = np.maximum(off[part], _turned(ev, k, part) * _bias_bound(ev) / _turn_bound(ev))
        seen[part] = True
    first = {s.cluster: ev.s[s.first] for s in reversed(collapsed)}
    text = f"{ev.sampling()}; wholly truncated without a break: " + ", ".join(
        f"cluster {k} from s = {start:.6g}" for k, start in sorted(first.items())[:6]
    )
    off[~seen] = np.nan
    return compare(text, np.nanmax(off), _bias_bound(ev), {"deviation": ev.along(off)})
