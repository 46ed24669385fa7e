"""Problems for the flows of sections 8 and 9, and runs put together from their chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.problem import Problem
from truncflow_cli.saved_state import Chunk


@dataclass(frozen=True)
class Recorded:
    """All samples and events of a run, and its chunks."""

    samples: dict[str, np.ndarray]
    events: np.ndarray
    chunks: list[Chunk]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.samples[name]


def record(chunks: Iterator[Chunk]) -> Recorded:
    """Put a run's chunks together, checking the order that they promise."""
    done = list(chunks)
    ends = [chunk.s for chunk in done]
    assert ends == sorted(ends)
    samples = {name: np.concatenate([c.samples[name] for c in done]) for name in done[0].samples}
    events = np.concatenate([c.events for c in done])
    assert (np.diff(samples["s"]) > 0).all()
    assert (np.diff(events["s"]) >= 0).all()
    before = -np.inf
    for chunk in done:
        for s in (*chunk.samples["s"], *chunk.events["s"]):
            assert before < s <= chunk.s
        before = chunk.s
    return Recorded(samples, events, done)


def collapsed(
    B: np.ndarray,
    W: np.ndarray,
    Y: np.ndarray,
    s_save: np.ndarray,
    x: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
    R: np.ndarray | None = None,
    **settings: object,
) -> Problem:
    """Return the collapsed problem of B (Q, C), W (Q, Q), Y (Q, C), by default without points."""
    dim, n_clusters = B.shape
    return Problem(
        flow="collapsed",
        equations="exact",
        x=np.empty((0, dim)) if x is None else x,
        cluster=np.empty(0, np.int64) if cluster is None else cluster,
        y=Y.T.copy(),
        y_tilde=Y.T.copy(),
        R0=np.tile(np.eye(dim), (n_clusters, 1, 1)) if R is None else R,
        beta0=B.T.copy(),
        W0=W,
        s_save=s_save,
        settings=Settings(s_end=float(s_save[-1])).replace(**settings),
    )


def clustered(
    x: np.ndarray,
    cluster: np.ndarray,
    y: np.ndarray,
    W: np.ndarray,
    s_save: np.ndarray,
    point_weights: str = "1/N",
) -> Problem:
    """Return the clustered problem of points x (N, Q), labels y (C, Q) and W (Q, Q), one layer far back."""
    dim = y.shape[1]
    return Problem(
        flow="clustered",
        equations="exact",
        x=x,
        cluster=cluster,
        y=y,
        y_tilde=y,
        R0=np.eye(dim)[None],
        beta0=np.full((1, dim), 1.0 + np.abs(x).max(initial=0.0)),
        W0=W,
        s_save=s_save,
        settings=Settings(s_end=float(s_save[-1])),
        point_weights=point_weights,
    )


def orthogonal(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Return a random orthogonal matrix (Q, Q)."""
    return np.linalg.qr(rng.normal(size=(dim, dim)))[0]


def invariant(B: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Return the conserved I = B Bᵀ − WᵀW (..., Q, Q) of (8.21) for B (..., Q, C) and W (..., Q, Q)."""
    return B @ np.swapaxes(B, -1, -2) - np.swapaxes(W, -1, -2) @ W
