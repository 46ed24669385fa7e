"""Whatever is done to a configuration: it builds, or ends in one sentence; nothing else."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from config_samples import GOOD
from hypothesis import given, settings
from hypothesis import strategies as st

from truncflow_cli import config
from truncflow_cli.errors import UserError

#: How many mutants of each kind a test tries; a nightly run may set more.
CASES = int(os.environ.get("TRUNCFLOW_FUZZ_CASES", "150"))
NOWHERE = Path("/nowhere")

GENERAL = """\
flow: general
layers: 2
clusters:
  - {center: [0.0, 1.0, 2.0], shape: gaussian, std: 0.5, size: 5}
  - {center: [3.0, 1.0, 2.0], shape: sphere, radius: 0.5, size: 5}
output_map: {random: orthogonal}
initial: {construct: {method: separated, start: full, margin: 0.01}}
save: {count: 5, spacing: log}
"""
COLLAPSED = """\
flow: collapsed
labels: [[1, 0, 0], [0, 1, 0]]
initial: {bias: {normal: 0.5}, output_weight: {scale: 0.3}}
"""
TEXTS = (GOOD, GENERAL, COLLAPSED)

STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e-320, 1e300, -1e308, 1e16]),
    st.text(max_size=6),
    st.sampled_from(
        ["identity", "random", "zero", "separated", "collapsed", "clustered", "file", "../x", "log", "{name}"]
    ),
    st.lists(st.floats(-9, 9), max_size=3),
    st.lists(st.lists(st.integers(-9, 9), max_size=3), max_size=3),
    st.dictionaries(
        st.sampled_from(["scale", "normal", "file", "random", "method", "points", "shape"]),
        st.integers(0, 3),
        max_size=2,
    ),
)
FEW_LARGE = {"size", "layers", "count", "to"}


def outcome(text: str, overrides: tuple[str, ...] = ()) -> None:
    """Build it; the only way to fail is a UserError of one line."""
    try:
        problem = config.build(config.load_text(text, NOWHERE, "demo", overrides)).problem
    except UserError as error:
        message = str(error)
        assert message.isprintable(), message
        assert len(message) < 700, message
        return
    dim, n_clusters = problem.dim, problem.n_clusters
    assert problem.x.shape == (len(problem.cluster), dim)
    assert problem.R0.shape == (problem.n_layers, dim, dim)
    assert problem.W0.shape == (dim, dim)
    assert problem.y_tilde.shape == (n_clusters, dim)
    assert all(
        np.isfinite(a).all() for a in (problem.x, problem.R0, problem.beta0, problem.W0, problem.y_tilde)
    )
    np.testing.assert_allclose(
        problem.R0 @ problem.R0.transpose(0, 2, 1), [np.eye(dim)] * problem.n_layers, atol=1e-12
    )
    assert (np.diff(problem.s_save) > 0).all()
    assert problem.s_save[0] == 0
    assert problem.s_save[-1] == problem.settings.s_end


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in paths(item, (*path, key)))]


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@settings(deadline=None, max_examples=CASES)
@given(st.data())
def test_any_value_may_be_replaced_by_any_other(data: st.DataObject) -> None:
    settings_ = yaml.safe_load(data.draw(st.sampled_from(TEXTS)))
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(paths(settings_)[1:]))
        new = data.draw(STRANGE)
        if path[-1] in FEW_LARGE and isinstance(new, int | float) and 100 < new < 1e9:
            new = 3  # affordable and pointless sizes are not what this is about
        settings_ = replaced(settings_, path, new)
    outcome(yaml.safe_dump(settings_, allow_unicode=True))


@settings(deadline=None, max_examples=CASES)
@given(st.data())
def test_keys_may_be_dropped_doubled_and_misspelt(data: st.DataObject) -> None:
    settings_ = yaml.safe_load(data.draw(st.sampled_from(TEXTS)))
    path = data.draw(
        st.sampled_from([path for path in paths(settings_) if path and isinstance(path[-1], str)])
    )
    holder = settings_
    for key in path[:-1]:
        holder = holder[key]
    value = holder.pop(path[-1])
    new_key = data.draw(
        st.none() | st.text(max_size=8) | st.sampled_from(["clusters", "points", "std", "bias", "<<", "flow"])
    )
    if new_key is not None:
        holder[new_key] = value
    outcome(yaml.safe_dump(settings_, allow_unicode=True))


@settings(deadline=None, max_examples=CASES)
@given(st.sampled_from(TEXTS), st.text(max_size=12), st.text(max_size=12))
def test_any_option_may_be_given(text: str, key: str, value: str) -> None:
    outcome(text, (f"{key}={value}",))
    outcome(text, (f"integrator.{key}={value}", f"seed={value}"))


@settings(deadline=None, max_examples=CASES)
@given(st.text())
def test_any_text_may_be_a_configuration(text: str) -> None:
    outcome(text)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_may_be_changed_cut_and_doubled(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    path = tmp_path / "mutant.yaml"
    for _ in range(CASES):
        content = bytearray(chance.choice(TEXTS).encode())
        for _ in range(chance.randint(1, 4)):
            where = chance.randrange(len(content))
            kind = chance.randrange(4)
            if kind == 0:
                content[where] = chance.randrange(256)
            elif kind == 1:
                del content[where : where + chance.randint(1, 9)]
            elif kind == 2:
                content[where:where] = chance.choice(
                    [b"{", b"[", b"&a ", b"*a", b"\n- ", b"'", b"!!", b"9", b"e9", b"\t", b"<<: ", b": "]
                )
            else:
                content[where:where] = content[where : where + chance.randint(1, 40)]
        if (
            b"size: " in content
            and max((len(w) for w in content.split() if w.strip(b",}").isdigit()), default=0) > 4
        ):
            continue  # a large but affordable number of points
        path.write_bytes(content)
        try:
            config.build(config.load(path))
        except UserError as error:
            message = str(error)
            assert message.isprintable(), message
            assert message.startswith(str(tmp_path)), message
