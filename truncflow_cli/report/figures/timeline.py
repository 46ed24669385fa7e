"""The axis of s that all figures of a run share: linear, or stretched where what happens crowds at the start."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.scale import SymmetricalLogTransform
from matplotlib.ticker import FixedLocator, FuncFormatter
from matplotlib.transforms import IdentityTransform, Transform

from truncflow_cli.problem import Array
from truncflow_cli.report.figures.style import typeset
from truncflow_cli.report.sparkline import logarithmic_axis
from truncflow_cli.run_data import Run

#: The axis is stretched if half of the events lie in this first share of the run.
CROWDED = 0.1
#: Fewer events than this do not decide it.
FEW = 4
#: A loss that is this close to its end, relative to its start, does not change any more.
SETTLED = 1e-12
#: Room of the linear part of a stretched axis, in decades of the rest.
LINEAR_PART = 0.6
#: At most this many decades are labelled.
MOST_LABELS = 8
#: Saved times further apart than this share of the axis are marked on the curves: between them nothing is known.
WIDE = 0.04


@dataclass(frozen=True)
class Timeline:
    """The axis of s from 0 to the end.

    Attributes:
        end: last saved time, or the last event of a run that failed after it.
        linear_to: linear up to here and logarithmic beyond; None if it is linear throughout.
    """

    end: float
    linear_to: float | None

    @classmethod
    def of(cls, run: Run) -> Timeline:
        """Return the axis that suits a run."""
        return cls.suiting(run.s, run.events["s"], settled_at(run.s, run.loss))

    @classmethod
    def suiting(cls, s: Array, times: Array, settled: float) -> Timeline:
        """Return the axis that suits saved times (T,), events (E,), and when the loss has settled.

        It is stretched where the saved times, half of the events, or all that the loss does crowd at its start.
        """
        end = max(float(s[-1]), float(times.max(initial=0.0)))
        crowded = times.size >= FEW and float(np.median(times)) < CROWDED * end
        crowded |= 0.0 < settled < CROWDED * end
        if s.size > 4 and 0.0 < s[1] < CROWDED * end and (crowded or logarithmic_axis(s)):
            return cls(end, float(s[1]))
        return cls(end if end > 0.0 else 1.0, None)

    def apply(self, axes: Axes, *, label: bool = True) -> None:
        """Make the x axis of a panel this axis; its y axis has its limits already."""
        if self.linear_to is not None:
            axes.set_xscale("symlog", linthresh=self.linear_to, linscale=LINEAR_PART)
            labels = self._labels(self.linear_to)
            axes.xaxis.set_major_locator(FixedLocator(labels))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: _decade(s, labels)))
            axes.xaxis.set_minor_locator(FixedLocator(self._between(self.linear_to)))
            self._mark(axes)
        _keep_inside(axes)
        axes.set_xlim(0.0, self.end)
        if label:
            stretched = "" if self.linear_to is None else f", linear up to {typeset(self.linear_to)}"
            axes.set_xlabel(f"$s${stretched}")
        else:
            axes.tick_params(labelbottom=False)

    def grid(self, count: int) -> Array:
        """Return ``count`` times evenly spaced along the axis, both ends included."""
        last = self._transform().transform(np.array([self.end]))[0]
        return np.asarray(self._transform().inverted().transform(np.linspace(0.0, last, count)))

    def positions(self, times: Array) -> Array:
        """Return where times (n,) lie along the axis, from 0 to 1."""
        last = self._transform().transform(np.array([self.end]))[0]
        return np.asarray(self._transform().transform(np.asarray(times)) / last)

    def _labels(self, linear_to: float) -> list[float]:
        first, last = math.ceil(math.log10(linear_to) - 1e-9), math.floor(math.log10(self.end) + 1e-9)
        stride = max(1, -(-(last - first + 1) // MOST_LABELS))
        return [0.0, *(10.0**power for power in range(first, last + 1, stride))]

    def _between(self, linear_to: float) -> list[float]:
        """Return 2, 3, ... 9 times each power of ten, unless they would crowd."""
        first, last = math.floor(math.log10(linear_to)), math.floor(math.log10(self.end) + 1e-9)
        if last - first > MOST_LABELS:
            return []
        every = (digit * 10.0**power for power in range(first, last + 1) for digit in range(2, 10))
        return [s for s in every if linear_to <= s <= self.end]

    def _mark(self, axes: Axes) -> None:
        """Mark the points of curves where they lie so far apart that the line between them is a guess."""
        for line in list(axes.lines):
            s, values = (np.asarray(part, dtype=float) for part in line.get_data())
            joined = line.get_marker() == "None" and line.get_drawstyle() == "default"
            if s.size < 3 or not joined or line.get_transform() != axes.transData:
                continue
            wide = np.diff(self.positions(s)) > WIDE
            far = np.append(wide, False) | np.append(False, wide)
            if far.any():
                axes.plot(
                    s[far], values[far], linestyle="none", marker="o", markersize=3.0, color=line.get_color(),
                    zorder=line.get_zorder(), clip_on=False,
                )  # fmt: skip

    def _transform(self) -> Transform:
        stretched = self.linear_to is not None
        return SymmetricalLogTransform(10, self.linear_to, LINEAR_PART) if stretched else IdentityTransform()


def _keep_inside(axes: Axes) -> None:
    """Cut off at the frame what may stand over its edge, where it has values beyond the limits."""
    low, high = axes.get_ylim()
    for line in axes.lines:
        values = np.asarray(line.get_ydata(), dtype=float)
        if line.get_transform() == axes.transData and ((values < low) | (values > high)).any():
            line.set_clip_on(True)


def settled_at(s: Array, loss: Array) -> float:
    """Return the saved time from which on the loss (T,) stays as it is; 0 if it does from the start."""
    moving = np.flatnonzero(np.abs(loss - loss[-1]) > SETTLED * loss[0])
    return float(s[moving[-1] + 1]) if moving.size else 0.0


def _decade(s: float, labels: list[float]) -> str:
    """Return a power of ten, or 0, as it is written on an axis with these labels: all of them in one way."""
    if s == 0.0 or (labels[1:] and labels[1] >= 1e-3 and labels[-1] <= 1e4):
        return f"{s:g}"
    return f"$10^{{{round(math.log10(s))}}}$"
