"""Runs of every kind and size for tests of the page: solved in memory, or made up where solving would take long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from recorded_runs import Recorded, damaged, solve

from truncflow_cli.events import EVENT_DTYPE, Kind
from truncflow_cli.run_data import Certificate

#: A text that would run a script, end one, or break out of an attribute, if it were not escaped.
HOSTILE = '</script><img src=x onerror="document.title=1">\'"&<!--\u202e\x07'
#: What of it may stand in YAML.
HOSTILE_YAML = HOSTILE.replace("\x07", "")

SEPARATED = """
flow: separated
clusters:
  - {name: right, center: [2.0, 0.0], shape: ball, radius: 0.6, size: 12}
  - {name: top, center: [0.0, 2.0], shape: ball, radius: 0.6, size: 12}
initial: {construct: separated}
integrator: {s_end: 4.0}
save: {count: 41}
"""
GENERAL = """
flow: general
clusters:
  - {center: [1.5, 0.0, 0.0], shape: ball, radius: 0.6, size: 8}
  - {center: [0.0, 1.4, 0.3], shape: ball, radius: 0.6, size: 8}
  - {center: [-0.9, -1.1, 0.0], shape: ball, radius: 0.6, size: 8}
layers: 2
initial: {rotation: random, bias: {normal: 0.7}}
integrator: {s_end: 2.0}
save: {count: 21}
"""
COLLAPSED = """
flow: collapsed
labels: [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [-1.0, -1.0, 1.0]]
initial:
  bias: [[0.3, -0.2, 0.1], [0.4, 0.1, -0.3], [-0.2, 0.5, 0.2], [0.1, 0.3, 0.6]]
  output_weight: [[1.5, 0.2, 0.0], [-0.3, 1.2, 0.4], [0.1, 0.0, 1.8]]
integrator: {s_end: 4.0}
save: {count: 41}
"""
CLUSTERED = """
flow: clustered
clusters:
  - {center: [2.0, 0.0], shape: gaussian, std: 0.4, size: 10}
  - {center: [0.0, 2.0], shape: gaussian, std: 0.4, size: 10}
initial: {construct: clustered}
integrator: {s_end: 100.0}
save: {count: 41, spacing: log, first: 0.01}
"""
LINE = """
flow: separated
clusters: [{points: [[-1.0], [-0.5], [0.4]]}]
labels: [[2.0]]
initial: {rotation: identity, bias: [[0.2]]}
integrator: {s_end: 3.0}
save: {count: 21}
"""
POINT = """
flow: separated
clusters: [{points: [[0.3, -0.2]]}]
labels: [[1.0, 0.5]]
initial: {rotation: identity, bias: [[0.1, 0.1]]}
integrator: {s_end: 3.0}
save: {count: 21}
"""
FLOWS = {"separated": SEPARATED, "general": GENERAL, "collapsed": COLLAPSED, "clustered": CLUSTERED}


def solved(flow: str) -> Recorded:
    """Return a small run of a flow."""
    return solve(FLOWS[flow], flow)


def first_times(run: Recorded, count: int, **attrs: Any) -> Recorded:
    """Return a run as it was after its first saved times, with other attributes."""
    series = ("s", "loss", "loss_cluster", "energy_balance", "beta", "R", "B", "W", "truncated_fraction")
    cut = {key: getattr(run, key)[:count] for key in series if getattr(run, key) is not None}
    events = run.events[run.events["s"] <= run.s[count - 1]]
    return damaged(run, **cut, events=events, attrs={**run.attrs, **attrs})


def hostile(run: Recorded) -> Recorded:
    """Return a run in which every text is hostile."""
    claims = Certificate("loss_monotone", HOSTILE, HOSTILE, HOSTILE, "violated", 1.0, 0.5, -0.5)
    others = Certificate(HOSTILE, HOSTILE, HOSTILE, HOSTILE, "holds", 1.0, 2.0, 1.0)
    texts = {"command": HOSTILE, "created": HOSTILE, "message": HOSTILE, "numpy_version": HOSTILE}
    return damaged(
        run,
        path=Path(f"{HOSTILE.replace('/', '')}.h5"),
        attrs={**run.attrs, **texts, "status": "failed"},
        config=f"name: |\n  {HOSTILE_YAML}\n",
        notes={
            "clusters": ", ".join([HOSTILE.replace(",", "")] * run.n_clusters),
            "construct": HOSTILE,
            "construct margin": 1.0,
        },
        warnings=(HOSTILE,),
        certificates={"loss_monotone": claims, HOSTILE: others},
        counters={HOSTILE: 3},
    )


def made_up(n: int, n_times: int, n_events: int, dim: int = 2, clusters: int = 2) -> Recorded:
    """Return a run of the flow `separated` of that size, in which the biases glide and nothing else is true."""
    rng = np.random.default_rng(3)
    s = np.linspace(0.0, 10.0, n_times)
    cluster = np.sort(np.arange(n) % clusters)
    x = rng.normal(size=(n, dim)) + 2.0 * rng.normal(size=(clusters, dim))[cluster]
    beta = rng.normal(size=(clusters, dim)) + 0.1 * s[:, None, None]
    loss_cluster = np.exp(-0.3 * s)[:, None] * np.arange(1.0, clusters + 1.0)
    events = np.zeros(n_events, dtype=EVENT_DTYPE)
    events["s"] = np.sort(rng.uniform(0.0, 10.0, n_events))
    events["kind"] = np.where(np.arange(n_events) % 2, Kind.RELEASE, Kind.TRUNCATE)
    events["point"] = rng.integers(0, n, n_events)
    events["cluster"] = events["layer"] = cluster[events["point"]]
    events["coordinate"] = rng.integers(0, dim, n_events)
    events["side"] = -1
    base = solve(POINT, "made-up")
    falls = Certificate("loss_monotone", "it falls", "(3.27)", "so it does", "holds", 0.0, 1.0, 1.0)
    return damaged(base,
        x=x, cluster=cluster, y=rng.normal(size=(clusters, dim)), y_tilde=rng.normal(size=(clusters, dim)),
        s=s, beta=beta, R=np.broadcast_to(np.eye(dim), (n_times, clusters, dim, dim)),
        loss=loss_cluster.sum(axis=1), loss_cluster=loss_cluster, energy_balance=1e-10 * np.sin(s),
        truncated_fraction=np.broadcast_to(0.1 * s[:, None, None], (n_times, clusters, dim)),
        events=events,
        certificates={"loss_monotone": falls},
    )  # fmt: skip
