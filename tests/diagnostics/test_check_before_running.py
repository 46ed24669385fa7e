"""``check`` says of every hypothesis whether it holds at the start, by how much, and what would mend it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from certified_runs import CLUSTERED, COLLAPSED, NOT_SEPARATED, TWO_CLUSTERS, collapsed_on_data
from rich.console import Console

from truncflow_cli import config
from truncflow_cli.cluster_names import joined_names
from truncflow_cli.config import Built
from truncflow_cli.diagnostics.hypotheses import Finding, check
from truncflow_cli.report.checks import render_findings


def built(text: str) -> Built:
    return config.build(config.load_text(text, Path.cwd(), "checked"))


def findings(text: str) -> dict[str, Finding]:
    made = built(text)
    return {finding.name: finding for finding in check(made.problem, made.notes)}


def shown(text: str, encoding: str = "utf-8") -> str:
    made = built(text)
    stream = io.BytesIO()
    file = io.TextIOWrapper(stream, encoding=encoding)
    console = Console(file=file, width=80)
    render_findings(made.problem, check(made.problem, made.notes), made.notes, console)
    file.flush()
    return stream.getvalue().decode(encoding)


SEPARATED = TWO_CLUSTERS.format(flow="separated", equations="exact", frozen="false")


def test_constructed_start_meets_every_hypothesis():
    made = built(SEPARATED)
    found = check(made.problem, made.notes)
    assert all(finding.holds for finding in found if finding.needed)
    margins = [finding.margin for finding in found if finding.name.startswith("separated")]
    assert len(margins) == 2
    assert min(margins) >= made.notes["construct margin"] - 1e-12


def test_failing_separation_names_point_layer_and_remedy():
    made = built(NOT_SEPARATED.format(flow="separated", seed=1))
    problem = made.problem
    for layer in range(3):
        finding = next(f for f in check(problem, {}) if f.name == f"separated, layer {layer}")
        foreign = np.flatnonzero(problem.cluster != layer)
        z = (problem.x[foreign] + problem.beta0[layer]) @ problem.R0[layer].T
        i, r = np.unravel_index(np.argmin(z), z.shape)
        assert not finding.holds
        assert finding.margin == pytest.approx(z.min())
        assert (
            f"point {foreign[i]} of cluster {problem.cluster[foreign[i]]}, coordinate {r}" in finding.closest
        )
        # The remedy does what it says: that coordinate of every point comes out positive.
        beta = problem.beta0[layer] + (-finding.margin + 1e-9) * problem.R0[layer, r]
        assert ((problem.x[foreign] + beta) @ problem.R0[layer].T)[:, r].min() > 0.0
        assert f"row {r} of R_{layer}" in finding.remedy


def test_general_flow_needs_nothing_but_orthogonality():
    found = findings(NOT_SEPARATED.format(flow="general", seed=1))
    assert [finding.name for finding in found.values() if finding.needed] == ["orthogonal"]
    assert not found["separated, layer 0"].holds
    assert "needs no hypothesis" in shown(NOT_SEPARATED.format(flow="general", seed=1))


def test_cluster_that_is_untruncated_will_not_move():
    found = findings(
        "flow: separated\nclusters: [{points: [[1.0, 2.0], [2.0, 0.5]]}]\nlabels: [[0.0, 0.0]]\n"
        "initial: {rotation: identity, bias: [[1, 1]]}\n"
    )
    finding = found["truncated, layer 0"]
    assert not finding.holds
    assert finding.margin == pytest.approx(-1.5)
    assert "point 1, coordinate 1" in finding.closest


@pytest.mark.parametrize(("scale", "holds"), [(0.3, True), (1.0, False), (3.0, True)])
def test_spectral_gap_is_found_with_either_sign(scale, holds):
    text = COLLAPSED.format(
        labels="[[1,0,0],[0,1,0],[0,0,1]]",
        bias="[[1.0, 0.1, 0.2], [0.0, -1.2, 0.3], [0.3, 0.0, 1.1]]",
        scale=scale,
        s_end=1,
    )
    finding = findings(text)["spectral gap"]
    assert finding.holds == holds
    assert (finding.margin > 0.0) == holds
    if not holds:
        factor = float(finding.remedy.partition("more than ")[2].split(",")[0])
        mended = findings(text.replace(f"scale: {scale}", f"scale: {1.001 * factor * scale}"))["spectral gap"]
        assert mended.holds
        barely = findings(text.replace(f"scale: {scale}", f"scale: {0.99 * factor * scale}"))["spectral gap"]
        assert not barely.holds


def test_collapsed_data_are_measured():
    run = collapsed_on_data(0.3)
    holding = findings(run.config)["collapsed data"]
    assert holding.holds
    assert holding.margin > 0.0
    text = CLUSTERED.replace("flow: clustered", "flow: collapsed").replace("point_weights: {weights}\n", "")
    failing = findings(text.format(third=4.0, s_end=1, start="rotation: identity, bias: zero"))[
        "collapsed data"
    ]
    assert not failing.holds
    assert failing.margin < 0.0
    assert failing.remedy == "initial.construct: collapsed"


def test_clustered_data_and_their_rank_are_measured():
    good = findings(CLUSTERED.format(third=4.0, s_end=1, weights="1/N", start="construct: clustered"))
    assert good["positive sectors"].holds
    assert good["full rank"].holds
    flat = CLUSTERED.format(third=0.0, s_end=1, weights="1/N", start="rotation: identity, bias: zero")
    bad = findings(flat.replace("radius: 0.3", "radius: 0.0"))
    assert not bad["positive sectors"].holds
    assert bad["positive sectors"].margin == 0.0
    assert not bad["full rank"].holds
    assert "rank 2 of 3" in bad["full rank"].closest


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_findings_are_readable_in_eighty_columns(encoding):
    text = shown(NOT_SEPARATED.format(flow="separated", seed=1), encoding)
    assert "3 hypotheses are not met." in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("remedy:") >= 3
    assert "Every hypothesis of the theorem holds" in shown(SEPARATED, encoding)


def test_names_of_clusters_stay_whole_and_are_not_taken_for_indices():
    made = built(NOT_SEPARATED.format(flow="separated", seed=1))
    findings = check(made.problem, {"clusters": joined_names(["Smith, John", "2", "2b"])})
    said = [finding.statement for finding in findings if finding.name.startswith("separated")]
    assert [text.rpartition("other than ")[2] for text in said] == ["Smith, John", "cluster 1 '2'", "2b"]
