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
)
from truncflow_cli.config.clusters import Clusters, check_points, points_of
from truncflow_cli.config.clusterschema import LabelledTable
from truncflow_cli.config.construct.methods import construct
from truncflow_cli.config.errors import Fault
from truncflow_cli.config.experiment import Experiment
from truncflow_cli.config.files import check_size, read_array
from truncflow_cli.config.schema import Integrator
from truncflow_cli.config.start import start_warnings
from truncflow_cli.config.table import read_table
from truncflow_cli.config.times import saved_times
from truncflow_cli.config.types import FromFile
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
    config, base_dir = experiment.config, experiment.base_dir
    clusters = _clusters(experiment)
    n_clusters, dim = _counts(experiment) if clusters is None else (len(clusters.points), clusters.dim)
    n_layers = config.layers or n_clusters
    with experiment.at("labels"):
        y = make_labels(config.labels, n_clusters, dim, base_dir)
    with experiment.at("output_map"):
        output_map = make_output_map(config.output_map, dim, config.seed, base_dir)
        y_tilde = pulled_back(y, output_map)
    R0, beta0, notes = _rotations_and_biases(experiment, clusters, n_layers, dim)
    with experiment.at("initial", "output_weight"):
        W0 = make_output_weight(config.initial.output_weight, dim, config.seed, base_dir)
    with experiment.at("save"):
        s_save = saved_times(config.save, config.integrator.s_end)
    x, cluster = _stacked(clusters, dim)
    problem = Problem(
        flow=config.flow,
        equations=config.equations,
        x=x,
        cluster=cluster,
        y=y,
        y_tilde=y_tilde,
        R0=R0,
        beta0=beta0,
        W0=W0,
        s_save=s_save,
        settings=_settings(config.integrator, n_layers * x.size),
        point_weights=config.point_weights or "1/N",
    )
    warnings = _doubtful(output_map)
    if clusters is not None:
        warnings += clusters.warnings + start_warnings(experiment, problem, clusters)
        notes = _cluster_notes(clusters) | notes
    return Built(problem, warnings, notes)


def _clusters(experiment: Experiment) -> Clusters | None:
    """Return the clusters of an experiment, None if it has none.

    Raises:
        UserError: unreadable or unsuitable data, with the place of the setting that names it.
    """
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
            if found and points.shape[1] != found[0].shape[1]:
                what = f"points have {_coordinates(points)}, those of cluster 0 have {_coordinates(found[0])}"
                raise Fault(f"{what}; all clusters lie in one space")
        names.append(cluster.name or "")
        found.append(points)
    with experiment.at("clusters"):
        check_size((sum(len(points) for points in found), found[0].shape[1]), "all points together")
    return Clusters(tuple(found), tuple(names), {})


def _coordinates(points: Array) -> str:
    count = points.shape[1]
    return f"{count} coordinate{'s' if count > 1 else ''}"


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


def _doubtful(output_map: Array | None) -> tuple[str, ...]:
    condition = 1.0 if output_map is None else float(np.linalg.cond(output_map))
    if condition <= _POOR_CONDITION:
        return ()
    return (f"output_map has condition number {condition:.2g}; the pulled-back labels are that uncertain",)


def _rotations_and_biases(
    experiment: Experiment, clusters: Clusters | None, n_layers: int, dim: int
) -> tuple[Array, Array, dict[str, str | float]]:
    """Return R_ℓ(0), β^(ℓ)(0), as given or constructed, and what to note of the construction."""
    config = experiment.config
    initial = config.initial
    rotations = None
    if initial.rotation is not None:
        with experiment.at("initial", "rotation"):
            rotations = make_rotations(initial.rotation, n_layers, dim, config.seed, experiment.base_dir)
    if initial.construction is None or clusters is None:
        assert rotations is not None
        with experiment.at("initial", "bias"):
            biases = make_biases(initial.bias, n_layers, dim, config.seed, experiment.base_dir)
        return rotations, biases, {}
    with experiment.at("initial", "construct"):
        made = construct(initial.construction, clusters, config.seed, n_layers, rotations)
    start, remark = initial.construction.start, made.remark
    what = initial.construction.method + (f", start: {start}" if start else "")
    margins = {"construct margin": made.margins.min()}
    margins |= {f"construct margin of layer {layer}": margin for layer, margin in enumerate(made.margins)}
    finite = {name: float(margin) for name, margin in margins.items() if np.isfinite(margin)}
    return made.R, made.beta, {"construct": f"{what} ({remark})" if remark else what, **finite}


def _stacked(clusters: Clusters | None, dim: int) -> tuple[Array, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return x (N, Q) and the cluster of each row (N,)."""
    if clusters is None:
        return np.empty((0, dim)), np.empty(0, dtype=np.int64)
    sizes = [len(points) for points in clusters.points]
    # One cluster is taken as it is: of very many points there should not be a second copy.
    x = clusters.points[0] if len(sizes) == 1 else np.concatenate(clusters.points)
    return x, np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)


def _cluster_notes(clusters: Clusters) -> dict[str, str | float]:
    names = [name or str(i) for i, name in enumerate(clusters.names)]
    return ({"clusters": joined_names(names)} if any(clusters.names) else {}) | clusters.notes
