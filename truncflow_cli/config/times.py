"""The saved times."""

from __future__ import annotations

import math

import numpy as np

from truncflow_cli.config.errors import Fault
from truncflow_cli.config.schema import MOST_TIMES, Save
from truncflow_cli.problem import Array

#: `spacing: log` begins this much before s_end unless `first` says otherwise.
_LOG_SPAN = 1e-4


def saved_times(save: Save, s_end: float) -> Array:
    """Return the saved times, (T,), strictly increasing from 0 to ``s_end``; both are always among them.

    ``count`` with spacing ``linear`` gives evenly spaced times; with ``log``, 0 and then a geometric sequence
    from ``first`` (default s_end/10⁴) to s_end. A run that ends at 0 has the one time 0.

    Raises:
        Fault: a time beyond s_end, or more times than fit into memory.
    """
    if s_end == 0:
        if save.at is not None and save.at[-1] > 0:
            raise Fault("lies beyond integrator.s_end = 0", ("at", len(save.at) - 1))
        return np.zeros(1)
    if save.at is not None:
        times = _listed(save.at, s_end)
    elif save.every is not None:
        times = _regular(save.every, s_end)
    elif save.spacing == "log":
        times = _geometric(save.count or 2, save.first, s_end)
    else:
        times = np.linspace(0.0, s_end, save.count or 2)
    if not (np.diff(times) > 0).all():
        raise Fault(f"{len(times)} times up to s_end = {s_end:g} are not distinct numbers; save fewer")
    return times


def _listed(at: list[float], s_end: float) -> Array:
    for index, time in enumerate(at):
        if time > s_end:
            raise Fault(f"{time:g} lies beyond integrator.s_end = {s_end:g}", ("at", index))
    return np.array(([] if at[0] == 0 else [0.0]) + at + ([] if at[-1] == s_end else [s_end]))


def _regular(every: float, s_end: float) -> Array:
    """Return the multiples of ``every`` before s_end, and s_end."""
    if not s_end / every < MOST_TIMES:
        raise Fault(f"{every:g} makes more than {MOST_TIMES} saved times up to s_end = {s_end:g}", ("every",))
    # A last multiple that is s_end but for rounding is s_end.
    before = math.ceil(s_end / every * (1 - 1e-12))
    return np.append(every * np.arange(before), s_end)


def _geometric(count: int, first: float | None, s_end: float) -> Array:
    start = _LOG_SPAN * s_end if first is None else first
    if not 0 < start < s_end and count > 2:
        raise Fault(f"{start:g} is not between 0 and integrator.s_end = {s_end:g}", ("first",))
    if count == 2:
        return np.array([0.0, s_end])
    times = np.append(0.0, np.geomspace(start, s_end, count - 1))
    times[-1] = s_end
    return times
