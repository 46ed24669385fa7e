"""From settings to arrays: the problem that a configuration describes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from truncflow_cli.cluster_names import joined_names
from truncflow_cli.config.arrays import (
    make_biases,
    make_labels,
    make_output_map,
    make_output_weight,
    make_rotations,
    pulled_back,
    saved_times,
)
from truncflow_cli.config.clusters import Clusters, check_points, points_of
from truncflow_cli.config.clusterschema import LabelledTable
from truncflow_cli.config.construct.methods import construct, stacked
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.experiment import Experiment
from truncflow_cli.config.files import check_size, read_array
from truncflow_cli.config.schema import Integrator
from truncflow_cli.config.table import read_table
from truncflow_cli.config.types import FromFile
from truncflow_cli.flows.registry import flow_named
from truncflow_cli.problem import Array, Problem

#: Crossings of each coordinate of a point that a run may have unless ``max_events`` says otherwise.
CROSSINGS_PER_COORDINATE = 10
#: A worse conditioned output map is allowed, with a warning: it costs half of the digits.
_POOR_CONDITION = 1e8


@dataclass(frozen=True)
class Built:
    """A problem, and what a user should know of how it came about.

    Attributes:
        problem: the arrays.
        warnings: hypotheses that the start does not meet, and doubtful data.
        notes: facts on data and construction, such as "construct margin", for run file and reports.
    """

    problem: Problem
    warnings: tuple[str, ...] = ()
    notes: dict[str, str | float] = field(default_factory=dict)


def build(experiment: Experiment) -> Built:
    """Read the data, make the initial state, and check what must hold of them.

    Points come sorted by cluster. A start that misses the flow's hypothesis is a warning.

    Raises:
        UserError: data, shapes or constructions that cannot be, each with the place of its setting; for
            ``on_separation_lost: stop``, a start that is not cluster separated.
    """
    config = experiment.config
    clusters = _clusters(experiment)
    n_clusters, dim = _counts(experiment) if clusters is None else (len(clusters.points), clusters.dim)
    n_layers = config.layers or n_clusters
    y = make_labels(experiment, n_clusters, dim)
    output_map = make_output_map(experiment, dim)
    R0, beta0, notes = _rotations_and_biases(experiment, clusters, n_layers, dim)
    with experiment.at("save"):
        s_save = saved_times(config.save, config.integrator.s_end)
    points = [np.empty((0, dim))] if clusters is None else clusters.points
    # One cluster is taken as it is: of very many points there should not be a second copy.
    x = points[0] if len(points) == 1 else np.concatenate(points)
    problem = Problem(
        flow=config.flow,
        equations=config.equations,
        x=x,
        cluster=np.repeat(np.arange(len(points), dtype=np.int64), [len(own) for own in points]),
        y=y,
        y_tilde=pulled_back(experiment, y, output_map),
        R0=R0,
        beta0=beta0,
        W0=make_output_weight(experiment, dim),
        s_save=s_save,
        settings=_settings(config.integrator, n_layers * x.size),
        point_weights=config.point_weights or "1/N",
    )
    warnings: tuple[str, ...] = ()
    if output_map is not None and (condition := float(np.linalg.cond(output_map))) > _POOR_CONDITION:
        what = f"output_map has condition number {condition:.2g}"
        warnings = (f"{what}; the pulled-back labels are that uncertain",)
    if clusters is not None:
        named = joined_names([name or str(i) for i, name in enumerate(clusters.names)])
        notes = ({"clusters": named} if any(clusters.names) else {}) | clusters.notes | notes
        start_warnings = flow_named(config.flow).part("start_warnings")
        warnings += clusters.warnings
        warnings += start_warnings(experiment, problem, clusters) if start_warnings is not None else ()
    return Built(problem, warnings, notes)


def _clusters(experiment: Experiment) -> Clusters | None:
    """Return the clusters of an experiment, None if it has none."""
    setting = experiment.config.clusters
    if setting is None:
        return None
    if isinstance(setting, LabelledTable):
        with experiment.at("clusters"):
            clusters = read_table(setting, experiment.base_dir)
            check_points(np.concatenate(clusters.points))
        return clusters
    names: list[str] = []
    found: list[Array] = []
    for index, cluster in enumerate(setting):
        with experiment.at("clusters", index):
            if cluster.name is not None and cluster.name in names:
                raise Fault(f"{cluster.name!r} is the name of two clusters", ("name",))
            points = points_of(cluster, index, experiment.config.seed, experiment.base_dir)
            check_points(points)
            if found and (dim := points.shape[1]) != (first := found[0].shape[1]):
                what = f"points have {dim} coordinate{'s' * (dim > 1)}, those of cluster 0 have {first}"
                raise Fault(f"{what}; all clusters lie in one space")
        names.append(cluster.name or "")
        found.append(points)
    with experiment.at("clusters"):
        check_size((sum(len(points) for points in found), found[0].shape[1]), "all points together")
    return Clusters(tuple(found), tuple(names), {})


def _settings(integrator: Integrator, n_coordinates: int) -> Integrator:
    """Return the settings; with very many points, crossings by the million are no sign of a flow without end."""
    if integrator.max_events != Integrator.model_fields["max_events"].default:
        return integrator
    most = max(integrator.max_events, CROSSINGS_PER_COORDINATE * n_coordinates)
    return integrator.replace(max_events=most)


def _counts(experiment: Experiment) -> tuple[int, int]:
    """Return C and Q without clusters: from the arrays that the configuration holds."""
    labels, initial = experiment.config.labels, experiment.config.initial
    for path, setting in ((("labels",), labels), (("initial", "bias"), initial.bias)):
        with experiment.at(*path):
            if (shape := _shape(experiment, setting)) is not None:
                if len(shape) != 2 or 0 in shape:
                    what = "×".join(map(str, shape)) or "a number"
                    raise Fault(f"must be C×Q, a row a cluster, not {what}")
                return shape[0], shape[1]
    with experiment.at("initial", "output_weight"):
        if shape := _shape(experiment, initial.output_weight):
            return shape[0], shape[0]
    raise experiment.error(
        ("labels",),
        "without clusters, C and Q must follow from labels or initial.bias; give one of them as a C×Q list",
    )


def _shape(experiment: Experiment, setting: object) -> tuple[int, ...] | None:
    if isinstance(setting, FromFile):
        return read_array(setting.file, experiment.base_dir).shape
    return np.array(setting).shape if isinstance(setting, list) else None


def _rotations_and_biases(
    experiment: Experiment, clusters: Clusters | None, n_layers: int, dim: int
) -> tuple[Array, Array, dict[str, str | float]]:
    """Return R_ℓ(0), β^(ℓ)(0), as given or constructed, and what to note of the construction."""
    config = experiment.config
    initial = config.initial
    rotations = None if initial.rotation is None else make_rotations(experiment, n_layers, dim)
    if initial.construction is None or clusters is None:
        assert rotations is not None
        return rotations, make_biases(experiment, n_layers, dim), {}
    with experiment.at("initial", "construct"):
        layers, remark = construct(initial.construction, clusters, config.seed, n_layers, rotations)
    start = f", start: {initial.construction.start}" if initial.construction.start else ""
    what = initial.construction.method + start + (f" ({remark})" if remark else "")
    margins = {"construct margin": min(layer.margin for layer in layers)}
    margins |= {f"construct margin of layer {index}": layer.margin for index, layer in enumerate(layers)}
    finite = {name: float(margin) for name, margin in margins.items() if np.isfinite(margin)}
    return *stacked(layers), {"construct": what, **finite}
