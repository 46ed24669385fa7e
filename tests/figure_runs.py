"""Small run files of every flow for tests of pictures, solved once and kept for the session."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from pathlib import Path

import truncflow_cli as truncflow
from truncflow_cli import api, config
from truncflow_cli.errors import RunFailed
from truncflow_cli.run_data import Run

_FOLDER = tempfile.TemporaryDirectory(prefix="truncflow-figures-")

_SEPARATED = """\
flow: separated
seed: 0
clusters:
  - {name: right, center: [2.0, 0.0], shape: ball, radius: 0.6, size: 12}
  - {name: top, center: [0.0, 2.0], shape: ball, radius: 0.6, size: 9}
initial: {construct: separated}
integrator: {s_end: 1.0}
save: {count: 201}
"""

TEXTS = {
    "separated": _SEPARATED,
    "pins": """\
flow: separated
seed: 12
clusters: [{center: [0.0, 0.0, 0.0], shape: gaussian, std: 1.0, size: 12}]
initial: {rotation: random, bias: {normal: 1.0}}
integrator: {s_end: 6.0}
save: {count: 61}
""",
    "general": """\
flow: general
seed: 7
clusters:
  - {center: [1.5, 0.0], shape: ball, radius: 0.6, size: 8}
  - {center: [-0.5, 1.4], shape: ball, radius: 0.6, size: 7}
  - {center: [-0.9, -1.1], shape: ball, radius: 0.6, size: 6}
labels: [[1.5, -0.5], [0.2, 1.6], [-1.2, -0.6]]
layers: 2
initial: {rotation: random, bias: {normal: 0.7}}
integrator: {s_end: 5.0}
save: {count: 41}
""",
    "switched": """\
flow: separated
seed: 3
clusters:
  - {center: [1.0, 0.0], shape: ball, radius: 0.6, size: 20}
  - {center: [-0.2, 1.2], shape: ball, radius: 0.6, size: 20}
labels: [[-4.0, 1.0], [1.0, -4.0]]
initial: {construct: separated}
integrator: {s_end: 2, on_separation_lost: switch}
save: {count: 41}
""",
    "collapsed": """\
flow: collapsed
labels: [[1.0, 0.0], [0.0, 1.0]]
initial: {bias: [[0.3, -0.2], [0.1, 0.4]], output_weight: {scale: 2.0}}
integrator: {s_end: 2.0}
save: {count: 41}
""",
    "clustered": """\
flow: clustered
seed: 1
clusters:
  - {center: [2.0, 0.0], shape: ball, radius: 0.5, size: 5}
  - {center: [0.0, 2.0], shape: ball, radius: 0.5, size: 6}
initial: {construct: clustered}
integrator: {s_end: 3.0}
save: {count: 31}
""",
    "space of images": """\
flow: clustered
clusters: [{points: [[1.0, 2.0, 0.5], [0.5, 1.0, 1.0]]}]
labels: [[1.0, 0.0, 0.0]]
initial: {construct: clustered}
integrator: {s_end: 3.0}
save: {count: 31}
""",
    "space": """\
flow: separated
seed: 2
clusters:
  - {center: [2.0, 0.0, 0.0, 0.0, 0.0], shape: ball, radius: 0.5, size: 6}
  - {center: [0.0, 2.0, 0.0, 0.0, 0.0], shape: ball, radius: 0.5, size: 6}
initial: {construct: separated}
integrator: {s_end: 0.5, freeze_rotation: true}
save: {count: 5}
""",
    "many": """\
flow: separated
seed: 1
clusters: [{center: [0.0, 0.0], shape: gaussian, std: 1.0, size: 10000}]
labels: [[-2.0, -2.0]]
initial: {rotation: identity, bias: [[0.5, 0.5]]}
integrator: {s_end: 1.0, freeze_rotation: true}
save: {count: 3}
""",
    "line": """\
flow: separated
clusters: [{points: [[0.5]]}]
labels: [[1.0]]
initial: {rotation: identity, bias: [[-0.4]]}
integrator: {s_end: 1.0}
save: {count: 3}
""",
    "short": _SEPARATED.replace("s_end: 1.0", "s_end: 0.1, rtol: 1e-5").replace("count: 201", "count: 21"),
    "rest": """\
flow: separated
clusters: [{points: [[1.0, 2.0]]}]
labels: [[1.0, 2.0]]
initial: {rotation: identity, bias: [[1.0, 1.0]]}
integrator: {s_end: 2.0}
save: {count: 2}
""",
}


@functools.cache
def run_of(name: str) -> Run:
    """Return the run of one of the texts above."""
    return truncflow.run(
        config.load_text(TEXTS[name], Path.cwd(), name), out=Path(_FOLDER.name) / f"{name}.h5"
    )


@functools.cache
def interrupted() -> Run:
    """Return a run that was interrupted when it had its first saved time, and has no certificates."""

    def stop(chunk: object) -> None:
        raise KeyboardInterrupt

    text = TEXTS["pins"].replace("count: 61", "count: 600001")
    plan = api.prepare(config.load_text(text, Path.cwd(), "stopped"), Path(_FOLDER.name) / "stopped.h5")
    found = api.execute(plan, watch=stop).open()
    assert found is not None
    return found


@functools.cache
def failed() -> Run:
    """Return a run that came to more events than it was allowed, between two saved times."""
    text = (
        TEXTS["general"]
        .replace("s_end: 5.0", "s_end: 5.0, max_events: 12")
        .replace("count: 41", "every: 0.1")
    )
    out = Path(_FOLDER.name) / "failed.h5"
    with contextlib.suppress(RunFailed):
        truncflow.run(config.load_text(text, Path.cwd(), "failed"), out=out)
    return truncflow.open_run(out)
