"""The axis of s that all figures of a run share: linear, or stretched where what happens crowds at the start."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.scale import SymmetricalLogTransform
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from truncflow_cli.model.problem import Array
from truncflow_cli.report.sparkline import logarithmic_axis
from truncflow_cli.store import RunFile

#: The axis is stretched if half of the events lie in this first share of the run.
CROWDED = 0.1
#: Fewer events than this do not decide it.
FEW = 4
#: Room of the linear part of a stretched axis, in decades of the rest.
LINEAR_PART = 0.6
#: At most this many decades are labelled.
MOST_LABELS = 8


@dataclass(frozen=True)
class Timeline:
    """The axis of s from 0 to the end.

    Attributes:
        end: last saved time.
        linear_to: linear up to here and logarithmic beyond; None if it is linear throughout.
    """

    end: float
    linear_to: float | None

    @classmethod
    def of(cls, run: RunFile) -> Timeline:
        """Return the axis that suits a run: where the saved times, or half of the events, crowd at its start."""
        s, times = run.s, run.events["s"]
        end = float(s[-1])
        crowded = times.size >= FEW and float(np.median(times)) < CROWDED * end
        if s.size > 4 and 0.0 < s[1] < 0.1 * end and (crowded or logarithmic_axis(s)):
            return cls(end, float(s[1]))
        return cls(end if end > 0.0 else 1.0, None)

    def apply(self, axes: Axes, *, label: bool = True) -> None:
        """Make the x axis of a panel this axis."""
        if self.linear_to is not None:
            axes.set_xscale("symlog", linthresh=self.linear_to, linscale=LINEAR_PART)
            axes.xaxis.set_major_locator(FixedLocator(self._labels(self.linear_to)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: _plain(s)))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(0.0, self.end)
        if label:
            axes.set_xlabel("$s$")
        else:
            axes.tick_params(labelbottom=False)

    def grid(self, count: int) -> Array:
        """Return ``count`` times evenly spaced along the axis, both ends included."""
        if self.linear_to is None:
            return np.linspace(0.0, self.end, count)
        transform = self._transform()
        last = transform.transform(np.array([self.end]))[0]
        return np.asarray(transform.inverted().transform(np.linspace(0.0, last, count)))

    def positions(self, times: Array) -> Array:
        """Return where times (n,) lie along the axis, from 0 to 1."""
        if self.linear_to is None:
            return np.asarray(times / self.end)
        transform = self._transform()
        return np.asarray(
            transform.transform(np.asarray(times)) / transform.transform(np.array([self.end]))[0]
        )

    def _labels(self, linear_to: float) -> list[float]:
        first, last = math.ceil(math.log10(linear_to) - 1e-9), math.floor(math.log10(self.end) + 1e-9)
        stride = max(1, -(-(last - first + 1) // MOST_LABELS))
        return [0.0, *(10.0**power for power in range(first, last + 1, stride))]

    def _transform(self) -> SymmetricalLogTransform:
        return SymmetricalLogTransform(10, self.linear_to, LINEAR_PART)


def _plain(s: float) -> str:
    """Return a power of ten, or 0, as it is written on the axis."""
    if s == 0.0 or 5e-3 < s < 5e3:
        return f"{s:g}"
    return f"$10^{{{round(math.log10(s))}}}$"
