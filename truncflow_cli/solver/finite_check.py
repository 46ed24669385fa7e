"""No sample that is not a number leaves the integrator, whatever flow it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.saved_state import Chunk


def only_finite(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Hand on chunks until a sample is not finite; what comes before it in its chunk is handed on too.

    Raises:
        RunFailed: a sample is not finite.
    """
    reached: float | None = None
    for chunk in chunks:
        finite = _finite_rows(chunk)
        if finite.all():
            reached = chunk.s
            yield chunk
            del chunk  # it can have very many events, and so can the next one
            continue
        first = int(np.argmin(finite))
        at = float(chunk.samples["s"][first])
        if first > 0:
            reached = float(chunk.samples["s"][first - 1])
        if reached is not None:
            events = chunk.events[chunk.events["s"] < at]
            yield replace(
                chunk,
                s=max(reached, events["s"].max(initial=0.0)),
                samples={name: values[:first] for name, values in chunk.samples.items()},
                events=events,
                state=None,
            )
        raise RunFailed(
            f"the solution is no longer finite at s = {at:.6g}: data of this size overflow double precision; "
            "scale points and labels down",
            at if reached is None else reached,
        )


def _finite_rows(chunk: Chunk) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which of the chunk's samples, (m,), are finite in everything."""
    finite = np.ones(len(chunk.samples["s"]) if chunk.samples else 0, dtype=bool)
    for values in chunk.samples.values():
        finite &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    return finite
