"""Section 4.3: with R fixed, the times of all truncations and the path of the bias in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truncflow_cli.diagnostics.certificates import certificate
from truncflow_cli.diagnostics.layered import LayeredAnalysis, own_layers
from truncflow_cli.diagnostics.outcome import Outcome, compare, not_met
from truncflow_cli.events import Kind, of_kind
from truncflow_cli.problem import Array, IntArray

#: Positions closer than this, relative to their size, are one position.
SAME = 1e-14
#: Error of an event time that is allowed, for each unit of s.
TIME_ERROR = 1e-9


@dataclass(frozen=True)
class Course:
    """The course of one coordinate: b between b_k at s_k and b_{k+1} decays towards y at the rate n_k/N.

    Attributes:
        y: where b tends to.
        s: (K,) times at which the rate changes, from 0 on.
        b: (K,) position at those times.
        rate: (K,) n/N from then on.
        error: (K,) what rounding of the points can make of those times (much where x_n is close to y).
        point: index of the point that is crossed at each event, (E,), in order.
        event: which of the times belongs to it, (E,).
        released: whether b falls, so that points are released.
    """

    y: float
    s: Array
    b: Array
    rate: Array
    error: Array
    point: IntArray
    event: IntArray
    released: bool

    def at(self, s: Array) -> Array:
        """Return b at times s (M,)."""
        k = np.searchsorted(self.s, s, "right") - 1
        result: Array = self.y + (self.b[k] - self.y) * np.exp(-self.rate[k] * (s - self.s[k]))
        return result


def course(x: Array, b: float, y: float) -> Course:
    """Solve ∂_s (y − b) = −(n/N)(y − b), n = #{x_i ≤ b}, for points x (N,): (4.42)-(4.50).

    It is solved for y < b too, where b falls. A point at b counts as truncated, h(0) = 0; if b falls it is
    released at once.
    """
    scale = SAME * max(float(np.abs(x).max(initial=0.0)), abs(b), abs(y))
    order = np.argsort(x, kind="stable")
    truncated = int(np.count_nonzero(x <= b + scale))
    rising = y > b
    s, position, count, error = 0.0, b, truncated, 0.0
    times, places, rates, errors = [0.0], [b], [truncated / x.size], [0.0]
    points: list[int] = []
    events: list[int] = []
    ahead = order[truncated:] if rising else order[:truncated][::-1]
    ahead = ahead[(x[ahead] < y - scale) if rising else (x[ahead] > y + scale)]
    k = 0
    while k < ahead.size and count > 0 and abs(y - b) > scale:
        together = 1
        while k + together < ahead.size and abs(x[ahead[k + together]] - x[ahead[k]]) <= scale:
            together += 1
        target = float(x[ahead[k]]) if rising else min(float(x[ahead[k]]), position)
        s += x.size / count * float(np.log((y - position) / (y - target)))
        error += x.size / count * scale / abs(y - target)
        position = target
        count += together if rising else -together
        times.append(s)
        places.append(position)
        rates.append(count / x.size)
        errors.append(error)
        points.extend(int(i) for i in ahead[k : k + together])
        events.extend([len(times) - 1] * together)
        k += together
    return Course(
        y,
        np.array(times),
        np.array(places),
        np.array(rates),
        np.array(errors),
        np.array(points, dtype=np.int64),
        np.array(events, dtype=np.int64),
        not rising,
    )


def rotation_frozen(ev: LayeredAnalysis) -> str:
    """Need a rotation that is held fixed."""
    return "" if ev.frozen else "the rotation is not frozen in this run"


def _courses(ev: LayeredAnalysis) -> dict[tuple[int, int], Course]:
    return {(k, r): _course(ev, k, r) for k in range(ev.n_clusters) for r in range(ev.dim)}


def _course(ev: LayeredAnalysis, k: int, r: int) -> Course:
    row = ev.R[0, k, r]
    return course(ev.x[ev.groups[k]] @ row, -float(row @ ev.beta[0, k]), float(row @ ev.run.y_tilde[k]))


@certificate(
    "frozen_times",
    order=4.3,
    source="(4.49)",
    statement="the n-th and the (n+1)-th truncation in a coordinate are (N/n) log((y − x_n)/(y − x_{n+1})) apart, "
    "and there are no others",
    meaning="With the rotation fixed, the times of all truncations are known in closed form; those of the "
    "run are compared with them.",
    applies=LayeredAnalysis,
    needs=(own_layers, rotation_frozen),
)
def frozen_times(ev: LayeredAnalysis) -> Outcome:
    """Compare the event log with the closed form."""
    courses = ev.once(_courses)
    events = ev.run.events
    logged = {
        (int(e["kind"]), int(e["layer"]), int(e["point"]), int(e["coordinate"])): float(e["s"])
        for e in events[of_kind(events, Kind.TRUNCATE, Kind.RELEASE)]
    }
    end = float(ev.run.s[-1])
    worst, expected = 0.0, 0
    missing = 0
    for (k, r), path in courses.items():
        kind = int(Kind.RELEASE if path.released else Kind.TRUNCATE)
        for point, index in zip(path.point, path.event, strict=True):
            predicted = float(path.s[index])
            found = logged.pop((kind, k, int(ev.groups[k][point]), r), None)
            rounding = float(path.error[index])
            if found is not None:
                expected += 1
                worst = max(worst, max(0.0, abs(found - predicted) - rounding) / (1.0 + predicted))
            elif predicted < end - rounding - TIME_ERROR * (1.0 + predicted):
                expected += 1
                missing += 1
    moving = sum(bool(path.rate[0] > 0.0 and path.y != path.b[0]) for path in courses.values())
    text = (
        f"{moving} of {len(courses)} coordinates move (n ≥ 1 at the start, y ≠ b); "
        f"{expected} events expected by s = {end:.6g}"
    )
    if not expected and not logged:
        return not_met(text)
    if missing or logged:
        text += f"; {missing} of them not in the event log, {len(logged)} in the log that should not be"
        # An event that is not where it should be is off by as much as the run is long.
        worst = max(worst, end, TIME_ERROR * 2.0)
    return compare(f"{text}; errors relative to 1 + s", worst, TIME_ERROR)


@certificate(
    "frozen_path",
    order=4.3,
    source="(4.44), (4.46)-(4.50)",
    statement="between them y − b decays at the rate n/N, n the number of points truncated; R stays as it is",
    meaning="With the rotation fixed, each coordinate decays at the rate given by the share of its points "
    "that are truncated.",
    applies=LayeredAnalysis,
    needs=(own_layers, rotation_frozen),
)
def frozen_path(ev: LayeredAnalysis) -> Outcome:
    """Compare the saved biases with the closed form."""
    courses = ev.once(_courses)
    off = np.zeros(ev.s.size)
    for (k, r), path in courses.items():
        b = -ev.beta[:, k] @ ev.R[0, k, r]
        off = np.maximum(off, np.abs(b - path.at(ev.s)))
    turned = np.abs(ev.R - ev.R[:1]).max(axis=(1, 2, 3))
    off = np.maximum(off, turned * ev.reach)
    rates = sorted({float(rate) for path in courses.values() for rate in path.rate})
    text = f"{ev.sampling()}; {len(rates)} different rates, {rates[0]:.4g} … {rates[-1]:.4g}"
    bound = TIME_ERROR * max(ev.reach, ev.bias_error)
    return compare(text, off.max(), bound, {"deviation": ev.along(off)})
