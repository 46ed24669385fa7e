"""The runs that the certificates are tested on, each solved once."""

from __future__ import annotations

import functools

import numpy as np
from recorded_runs import Recorded, solve

from truncflow_cli.diagnostics import certify
from truncflow_cli.run_data import Certificate

TWO_CLUSTERS = """
flow: {flow}
equations: {equations}
seed: 3
clusters:
  - {{center: [2.0, 0.0], shape: ball, radius: 0.8, size: 40}}
  - {{center: [-0.5, 2.2], shape: ball, radius: 0.8, size: 40}}
initial: {{construct: separated}}
integrator: {{s_end: 10, freeze_rotation: {frozen}}}
save: {{count: 101}}
"""

NOT_SEPARATED = """
flow: {flow}
seed: {seed}
clusters:
  - {{center: [1.0, 0.0, 0.3], shape: gaussian, std: 0.8, size: 12}}
  - {{center: [-0.5, 1.2, 0], shape: gaussian, std: 0.8, size: 12}}
  - {{center: [-0.5, 0, 1], shape: gaussian, std: 0.8, size: 12}}
initial: {{rotation: random, bias: {{normal: 0.5}}}}
integrator: {{s_end: 6}}
save: {{count: 101}}
"""

COLLAPSED = """
flow: collapsed
labels: {labels}
initial: {{bias: {bias}, output_weight: {{scale: {scale}}}}}
integrator: {{s_end: {s_end}}}
save: {{count: 101}}
"""

CLUSTERED = """
flow: clustered
seed: 1
point_weights: {weights}
clusters:
  - {{center: [4.0, 0.0, 0], shape: ball, radius: 0.3, size: 8}}
  - {{center: [0, 4.2, 0], shape: ball, radius: 0.3, size: 20}}
  - {{center: [0, 0, {third}], shape: ball, radius: 0.3, size: 20}}
initial: {{{start}, output_weight: {{normal: 0.3}}}}
integrator: {{s_end: {s_end}}}
save: {{count: 101}}
"""


@functools.cache
def separated(equations: str = "exact", frozen: str = "false") -> Recorded:
    """Two clusters in the plane, cluster separated throughout, neither ever wholly truncated."""
    return solve(TWO_CLUSTERS.format(flow="separated", equations=equations, frozen=frozen))


@functools.cache
def general_separated() -> Recorded:
    """The same through the general flow."""
    return solve(TWO_CLUSTERS.format(flow="general", equations="exact", frozen="false"))


@functools.cache
def not_separated(flow: str, seed: int = 1) -> Recorded:
    """Three clusters under random layers, with pins for most seeds."""
    return solve(NOT_SEPARATED.format(flow=flow, seed=seed))


def concentrated_points() -> np.ndarray:
    """A cluster deep in S⁻ but for one point in a mixed sector: 400 points and one."""
    rng = np.random.default_rng(0)
    return np.vstack([rng.uniform(-4.7, -3.3, (400, 2)), [[-2.0, -4.0]]])


@functools.cache
def concentrated(s_end: float = 4.0) -> Recorded:
    """A start that meets the hypotheses of Prop. 4.2: R = 1, ỹ = 0, β(0) = (2.3, 2.4)."""
    points = concentrated_points().tolist()
    return solve(
        f"flow: separated\nclusters: [{{points: {points}}}]\nlabels: [[0.0, 0.0]]\n"
        f"initial: {{rotation: identity, bias: [[2.3, 2.4]]}}\n"
        f"integrator: {{s_end: {s_end}}}\nsave: {{count: 201}}\n"
    )


@functools.cache
def untruncated() -> Recorded:
    """A cluster in S⁺ of its layer: at rest (Prop. 4.1)."""
    return solve(
        "flow: separated\nclusters: [{points: [[1.0, 2.0], [2.0, 0.5]]}]\nlabels: [[0.0, 0.0]]\n"
        "initial: {rotation: identity, bias: [[1, 1]]}\nintegrator: {s_end: 2}\nsave: {count: 11}\n"
    )


@functools.cache
def collapsed(
    scale: float, labels: str = "identity", s_end: float = 4.0, bias: str | None = None
) -> Recorded:
    """B and W alone: −I(0) > 0 for a large ``scale``, I(0) > 0 for a small one."""
    bias = bias or "[[1.0, 0.1, 0.2], [0.0, -1.2, 0.3], [0.3, 0.0, 1.1]]"
    labels = "[[1,0,0],[0,1,0],[0,0,1]]" if labels == "identity" else labels
    return solve(COLLAPSED.format(labels=labels, bias=bias, scale=scale, s_end=s_end))


@functools.cache
def collapsed_on_data(scale: float) -> Recorded:
    """Clusters that start collapsed, (8.1)."""
    clusters = CLUSTERED.split("clusters:")[1].split("initial")[0].format(third=4.0)
    return solve(
        f"flow: collapsed\nseed: 1\nclusters:{clusters}"
        f"initial: {{construct: collapsed, output_weight: {{scale: {scale}}}}}\n"
        "integrator: {s_end: 3}\nsave: {count: 31}\n"
    )


@functools.cache
def clustered(
    third: float = 4.0, s_end: float = 30.0, weights: str = "1/N", start: str = "construct: clustered"
) -> Recorded:
    """Three clusters; with ``third`` 0 and no radius they span a plane only."""
    text = CLUSTERED.format(third=third, s_end=s_end, weights=weights, start=start)
    return solve(text.replace("radius: 0.3", "radius: 0.0") if third == 0.0 else text)


@functools.cache
def losing_separation(then: str) -> Recorded:
    """Two clusters whose layers come to cut each other's points: recorded, stopped or switched (``then``)."""
    return solve(
        "flow: separated\nseed: 3\nclusters:\n  - {center: [1.0, 0.0], shape: ball, radius: 0.6, size: 20}\n"
        "  - {center: [-0.2, 1.2], shape: ball, radius: 0.6, size: 20}\nlabels: [[-4.0, 1.0], [1.0, -4.0]]\n"
        f"initial: {{construct: separated}}\nintegrator: {{s_end: 2, on_separation_lost: {then}}}\n"
        "save: {count: 101}\n"
    )


_FOUND: dict[int, tuple[Recorded, dict[str, Certificate]]] = {}


def certificates(run: Recorded) -> dict[str, Certificate]:
    """Return the run's certificates by name; once for each run."""
    if id(run) not in _FOUND:  # the run is kept with its answer, so that its id stays its own
        _FOUND[id(run)] = run, {certificate.name: certificate for certificate in certify(run)}
    return _FOUND[id(run)][1]
