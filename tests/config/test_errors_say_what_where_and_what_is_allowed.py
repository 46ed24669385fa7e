"""Every wrong setting: one sentence that begins with its place and ends with what is allowed."""

from __future__ import annotations

import pytest
from config_samples import GOOD, ROWS_OF_TWO, complaint, read

PLACES = [
    (
        "flow: seperated",
        "demo:1: flow: 'seperated' is not allowed (did you mean 'separated'?); allowed: separated, g",
    ),
    ("integrater: {}", "demo:1: integrater: unknown key (did you mean 'integrator'?); allowed: name, flow"),
    ("rtol: 1e-9", "demo:1: rtol: unknown key here; it belongs at integrator.rtol"),
    ("margin: 1", "demo:1: margin: unknown key"),
    ("Seed: 1", "demo:1: Seed: unknown key (did you mean 'seed'?)"),
    ("integrator:\n  s_ent: 3", "demo:2: integrator.s_ent: unknown key (did you mean 's_end'?)"),
    ("seed: -1", "demo:1: seed: must be at least 0, not -1"),
    ("seed: 1.5", "seed: must be an integer, not 1.5"),
    ("seed: true", "seed: must be an integer, not true"),
    ("seed: '1'", "seed: must be an integer, not '1'"),
    ("seed: 1e30", "seed: must be less than"),
    ("seed: [1]", "seed: must be an integer, not a list"),
    ("name: 3", "name: must be a text (put it in quotes), not 3"),
    ("name: a/b", "name: becomes part of a file name"),
    ("name: ..", "name: becomes part of a file name"),
    ('name: "a\\nb"', "name: must be a text of printable characters"),
    ("output: '{nam}.h5'", "output: may contain {name} and no other braces"),
    ("output: '{name.__class__}.h5'", "output: may contain {name} and no other braces"),
    ("output: ''", "output: must "),
    (
        "labels: identiy",
        "labels: 'identiy' is not one of its forms (did you mean 'identity'?); allowed: identity, {scale",
    ),
    (
        "labels: {scal: 3}",
        "labels: a mapping with 'scal' is not one of its forms; allowed: identity, {scale: a}",
    ),
    ("labels: 3", "labels: 3 is not one of its forms"),
    ("labels: [[1, 2], [3]]", "labels.1: has 1 numbers where the first row has 2"),
    ("labels: [[1, 2], [3, x]]", "labels.1.1: must be a number, not 'x'"),
    ("labels: [1, 2]", "labels.0: must be a list, not 1"),
    ("labels: {scale: 1, file: x}", "labels.file: unknown key"),
    (
        "output_map: {random: orthogonl}",
        "output_map.random: 'orthogonl' is not allowed (did you mean 'orthogonal'?)",
    ),
    (
        "initial: {construct: seperated}",
        "initial.construct: 'seperated' is not allowed (did you mean 'separated'?)",
    ),
    ("initial: {construct: {start: full}}", "initial.construct: method is missing"),
    (
        "initial: {construct: {method: collapsed, start: full}}",
        "initial.construct.start: belongs to method: sep",
    ),
    ("initial: {construct: separated, bias: zero}", "initial.bias: construct makes the bias"),
    ("initial: {construct: separated, rotation: random}", "initial.rotation: construct makes the rotations"),
    ("initial: {construct: [separated]}", "initial.construct: must be a mapping of keys, not a list"),
    ("initial: {bias: {normal: -1}}", "initial.bias.normal: must be at least 0, not -1"),
    (
        "initial: {rotation: [[[1, 0], [0, 1]], [[1]]]}",
        "initial.rotation.1: is 1×1 where the first matrix is 2×2",
    ),
    ("initial: 3", "initial: must be a mapping of keys, not 3"),
    ("integrator: {rtol: 0}", "integrator.rtol: must be at least 1e-14, not 0"),
    ("integrator: {rtol: abc}", "integrator.rtol: must be a number, not 'abc'"),
    ("integrator: {atol: 0}", "integrator.atol: must be greater than 0, not 0"),
    ("integrator: {s_end: -1}", "integrator.s_end: must be at least 0, not -1"),
    ("integrator: {freeze_rotation: 1}", "integrator.freeze_rotation: must be true or false, not 1"),
    (
        "integrator: {events: batch}",
        "'batch' is not allowed (did you mean 'batched'?); allowed: exact, batched, auto",
    ),
    ("integrator: {max_events: 0}", "integrator.max_events: must be at least 1, not 0"),
    ("save: {count: 1}", "save.count: must be at least 2, not 1"),
    ("save: {count: 3, every: 2}", "save.every: excludes count; give one of count, at, every"),
    ("save: {at: []}", "save.at: must have at least 1 item, not an empty list"),
    ("save: {at: [1, 0.5]}", "save.at.1: 0.5 does not come after 1"),
    ("save: {at: [1], spacing: log}", "save.spacing: goes with count only"),
    ("save: {first: 1}", "save.first: goes with spacing: log only"),
    ("save: {every: 0}", "save.every: must be greater than 0, not 0"),
    ("layers: 3", "layers: belongs to flow general; this is flow separated"),
    ("point_weights: 1/N", "point_weights: belongs to flow clustered; this is flow separated"),
    ("initial: {output_weight: identity}", "initial.output_weight: belongs to flow collapsed or clustered"),
]


@pytest.mark.parametrize(("text", "said"), PLACES, ids=[text for text, _ in PLACES])
def test_a_wrong_setting_is_named_with_its_line(text: str, said: str) -> None:
    message = complaint(f"{text}\n{ROWS_OF_TWO}")
    assert said in message
    assert message.startswith("demo:")


CLUSTERS = [
    ("clusters: []", "clusters: must have at least 1 item, not an empty list"),
    (
        "clusters: 3",
        "clusters: 3 is not one of its forms; allowed: a list of clusters, or one labelled table",
    ),
    ("clusters:", "clusters is missing; flow separated needs it"),
    ("seed: 1", "clusters is missing"),
    ("clusters: {}", "clusters: an empty mapping is not one of its forms"),
    ("clusters: {file: x.csv}", "demo:1: clusters: label_column is missing"),
    ("clusters: {file: x.csv, label_column: true}", "clusters.label_column: must be the name of a column"),
    ("clusters: [3]", "clusters.0: must be a mapping of keys, not 3"),
    ("clusters: [{}]", "clusters.0: shape is missing"),
    (
        "clusters: [{shape: bal, center: [1], radius: 1, size: 3}]",
        "clusters.0.shape: 'bal' is not allowed (did you mean",
    ),
    (
        "clusters: [{shap: ball, center: [1], radius: 1, size: 3}]",
        "clusters.0.shap: unknown key (did you mean 'shape'",
    ),
    (
        "clusters: [{shape: ball, center: [1], std: 1, size: 3}]",
        "clusters.0.std: shape ball takes radius, not std",
    ),
    (
        "clusters: [{shape: gaussian, center: [1], size: 3}]",
        "clusters.0: std is missing (shape gaussian needs it)",
    ),
    (
        "clusters: [{shape: ball, center: [1], radius: 1, size: 0}]",
        "clusters.0.size: must be at least 1, not 0",
    ),
    (
        "clusters: [{shape: ball, center: [], radius: 1, size: 1}]",
        "clusters.0.center: must have at least 1 item",
    ),
    ("clusters: [{shape: ball, center: [1], radius: -1, size: 1}]", "clusters.0.radius: must be at least 0"),
    ("clusters: [{shape: ball, center: [1], radius: 1, size: 1e12}]", "clusters.0.size: drawing the points"),
    ("clusters: [{points: []}]", "clusters.0.points: must have at least 1 item"),
    ("clusters: [{points: [[]]}]", "clusters.0.points.0: must have at least 1 item"),
    ("clusters: [{points: [[1, 2], [1]]}]", "clusters.0.points.1: has 1 numbers where the first row has 2"),
    (
        "clusters: [{points: [[1, 2]]}, {points: [[1]]}]",
        "clusters.1: points have 1 coordinate, those of cluster 0",
    ),
    (
        "clusters: [{points: [[1e300, 2]]}]",
        "clusters.0: point 0 has coordinate 1e+300; coordinates up to 1e+100",
    ),
    (
        "clusters: [{name: a, points: [[1]]}, {name: a, points: [[1]]}]",
        "clusters.1.name: 'a' is the name of two clusters",
    ),
]


@pytest.mark.parametrize(("text", "said"), CLUSTERS, ids=[text for text, _ in CLUSTERS])
def test_wrong_clusters_are_named(text: str, said: str) -> None:
    assert said in complaint(text)


FLOWS = [
    (
        "flow: general\nequations: printed",
        "demo:2: equations: belongs to flow separated; this is flow general",
    ),
    (
        "flow: general\nintegrator: {freeze_rotation: true}",
        "integrator.freeze_rotation: belongs to flow separated",
    ),
    ("flow: general\nintegrator: {on_separation_lost: switch}", "switch belongs to flow separated"),
    (
        "flow: general\nlayers: 3\ninitial: {construct: separated}",
        "needs a layer a cluster; there are 3 layers and 2",
    ),
    (
        "flow: clustered\ninitial: {construct: collapsed}",
        "collapsed does not fit flow clustered; allowed: clustered",
    ),
    (
        "flow: collapsed\ninitial: {construct: separated}",
        "separated does not fit flow collapsed; allowed: collapsed",
    ),
    (
        "integrator: {on_separation_lost: stop}",
        "nothing to run up to: the start is not cluster separated, (3.3): layer",
    ),
]


@pytest.mark.parametrize(("text", "said"), FLOWS, ids=[text for text, _ in FLOWS])
def test_settings_that_a_flow_would_ignore_are_refused(text: str, said: str) -> None:
    assert said in complaint(f"{text}\n{ROWS_OF_TWO}")


def test_of_several_mistakes_the_misspelt_key_comes_first_and_the_rest_is_counted() -> None:
    message = complaint("integrator: {rtol: x, s_end: y}\nlabels: [[a]]\nsedd: 3\n")
    assert message.startswith("demo:3: sedd: unknown key (did you mean 'seed'?)")
    message = complaint("save: {every: x}\nintegrator: {rtol: x}\n" + ROWS_OF_TWO)
    assert message == "demo:1: save.every: must be a number, not 'x' (and 1 more after this)"


def test_null_means_that_a_key_is_not_given() -> None:
    experiment = read("seed:\nlabels: null\nintegrator: ~\nsave: {count: null, every: 0.5}\n" + ROWS_OF_TWO)
    assert experiment.config.seed == 0
    assert experiment.config.labels == "identity"
    assert experiment.config.integrator.s_end == 10.0
    assert experiment.config.save.every == 0.5
    assert "sed: unknown key" in complaint("sed: null\n" + ROWS_OF_TWO)


def test_whole_numbers_may_be_written_with_an_exponent() -> None:
    experiment = read("integrator: {max_events: 1e6}\nsave: {count: 1.1e1}\n" + ROWS_OF_TWO)
    assert experiment.config.integrator.max_events == 1_000_000
    assert experiment.config.save.count == 11


def test_the_name_fills_the_output_path() -> None:
    assert str(read(GOOD).output) == "runs/demo.h5"
    assert str(read(GOOD + "name: x y\noutput: '{name}/{name}.h5'\n").output) == "x y/x y.h5"
