"""What a sweep runs follows from its options alone: values, ranges, combinations, names, and what is refused."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_samples import QUICK

from truncflow_cli.errors import UserError
from truncflow_cli.sweep.grid import members, parse_axes
from truncflow_cli.sweep.plan import Sweep, plan_sweep
from truncflow_cli.sweep.values import Value, number_text, parse_values


def plain(spec: str) -> list[Any]:
    return [value.plain for value in parse_values(spec, "--grid key")]


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("1", [1]),
        ("0, 1 ,5", [0, 1, 5]),
        ("1e-9,.5,true,null,exact", [1e-9, 0.5, True, None, "exact"]),
        ("[1,2],[3,[4,5]]", [[1, 2], [3, [4, 5]]]),
        ("zero,{normal: 0.5},[[0, 1], [2, 3]]", ["zero", {"normal": 0.5}, [[0, 1], [2, 3]]]),
        ("'a,b',\"c]\",it's", ["a,b", "c]", "it's"]),
        ("data.npz:key,'1:2:3'", ["data.npz:key", "1:2:3"]),
        ("0:9:4", [0, 3, 6, 9]),
        ("5:-5:3", [5, 0, -5]),
        ("0:1:11", [0, *(k / 10 for k in range(1, 10)), 1]),
        ("1,2:3:3,7", [1, 2, 2.5, 3, 7]),
        ("log:1:1000:4", [1, 10, 100, 1000]),
        ("log:1e-12:1e-6:7", [1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6]),
    ],
)
def test_values(spec: str, values: list[Any]) -> None:
    assert plain(spec) == values
    assert [type(value) for value in plain(spec)] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("", "a value is missing"),
        ("1,,2", "a value is missing"),
        ("[1,2", "[ is never closed"),
        ("1],2", "] closes nothing"),
        ("{a: [1}", "} closes nothing"),
        ("'a,b", "' is never closed"),
        ("1:2", "'1:2' is no range; allowed: a:b:n, log:a:b:n"),
        ("log:1:2", "is no range"),
        ("1:2:0.5", "is no range"),
        ("1:2:1", "n must be from 2 to 100,000"),
        ("0:1:1000000000000", "n must be from 2 to 100,000"),
        ("log:0:1:3", "both ends of log:a:b:n must be positive"),
        ("1e999999999:1:3", "between 1e-300 and 1e300"),
        ("0:1:60000,2:3:60000", "more than 100,000 values"),
        ("!!python/name:os.system", "tag"),
        (".nan", "numbers must be finite"),
    ],
)
def test_values_that_cannot_be(spec: str, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        plain(spec)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(2, 9))
def test_linear_ranges_include_both_ends_and_are_even(a: float, b: float, n: int) -> None:
    if a == b or any(0 < abs(end) < 1e-300 for end in (a, b)) or abs(a - b) < 1e-9:
        return
    values = plain(f"{a!r}:{b!r}:{n}")
    assert (len(values), values[0], values[-1]) == (n, a, b)
    for k, value in enumerate(values):
        assert math.isclose(value, a + (b - a) * k / (n - 1), rel_tol=1e-12, abs_tol=1e-9)


@given(st.floats(1e-200, 1e200), st.floats(1.1, 1e6), st.integers(2, 9))
def test_geometric_ranges_include_both_ends_and_have_one_ratio(a: float, ratio: float, n: int) -> None:
    b = a * ratio
    values = plain(f"log:{a!r}:{b!r}:{n}")
    assert (len(values), values[0], values[-1]) == (n, a, b)
    for before, value in itertools.pairwise(values):
        assert math.isclose(value / before, (b / a) ** (1 / (n - 1)), rel_tol=1e-12)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_gives_it_back(number: float) -> None:
    assert float(number_text(number)) == number
    (value,) = parse_values(number_text(number), "--grid key")
    assert value.plain == number


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(_VALUES, _VALUES)
def test_names_tell_values_apart_on_every_file_system(first: Any, second: Any) -> None:
    one, other = Value(json.dumps(first), first), Value(json.dumps(second), second)
    assert (one.name.lower() == other.name.lower()) == (one.exact == other.exact)
    assert set(one.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")
    assert 1 <= len(one.name) <= 60


def test_equal_values_have_equal_names_however_they_are_written() -> None:
    names = [
        parse_values(text, "--grid key")[0].name for text in ("1e-6", "0.000001", "1.0E-06", "log:1e-6:1:2")
    ]
    assert names == ["1e-6"] * 4
    assert parse_values("true", "")[0].name == "true"
    assert parse_values("'true'", "")[0].name != "true"


def test_grids_are_crossed_and_zips_go_side_by_side() -> None:
    axes = parse_axes(["seed=1,2", "layers=3"], ["save.count=5,6", "integrator.s_end=0.5:1:2"])
    assert [member.name for member in members(axes)] == [
        "seed=1,layers=3,save.count=5,integrator.s_end=0.5",
        "seed=1,layers=3,save.count=6,integrator.s_end=1",
        "seed=2,layers=3,save.count=5,integrator.s_end=0.5",
        "seed=2,layers=3,save.count=6,integrator.s_end=1",
    ]
    assert [member.place for member in members(axes)] == [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)]


@pytest.mark.parametrize(
    ("grids", "zips"),
    [
        (["key=1e-3,0.001"], []),
        (["key=1,1.0"], []),
        (["key=3:3:2"], []),
        (["key={a: 1, b: 2},{b: 2, a: 1}"], []),
        ([], ["one=1,2,1", "other=3,4,3.0"]),
    ],
)
def test_no_run_is_asked_for_twice(grids: list[str], zips: list[str]) -> None:
    with pytest.raises(UserError, match="appears twice"):
        parse_axes(grids, zips)
    assert len(list(members(parse_axes([], ["one=1,2,1", "other=3,4,4"])))) == 3


def test_long_names_are_cut_and_stay_apart() -> None:
    many = [f"clusters.{k}.center=[{k},1.25],[{k},2.5]" for k in range(8)]
    made = list(members(parse_axes(many, [])))
    assert len({member.file_name for member in made}) == len(made) == 256
    assert max(len(member.file_name) for member in made) <= 200


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return path


def plan(config: Path, *grids: str, zips: tuple[str, ...] = (), settings: tuple[str, ...] = ()) -> Sweep:
    return plan_sweep(config, grids, zips, settings)


def test_a_member_is_the_run_with_its_settings(config: Path) -> None:
    from truncflow_cli import api

    sweep = plan(config, "seed=3,4", "clusters.0.size=5,6", settings=("integrator.s_end=2",))
    for member in sweep.members:
        alone = api.load(config, ["integrator.s_end=2", *member.overrides])
        assert sweep.source.experiment(member.overrides).resolved() == alone.resolved()
    assert sweep.folder == Path("runs/quick-sweep")
    assert plan(config, "seed=1", settings=("name=other",)).folder == Path("runs/other-sweep")


@pytest.mark.parametrize(
    ("grids", "zips", "settings", "complaint"),
    [
        ((), (), (), "nothing to sweep over; give --grid key.path=values"),
        (("seed",), (), (), "--grid seed: write it as key.path=values"),
        (("=1",), (), (), "write it as key.path=values"),
        (("sed=1,2",), (), (), "--grid sed=1: sed: unknown key (did you mean 'seed'?)"),
        (("integrator.rtoll=1",), (), (), "unknown key (did you mean 'rtol'?)"),
        (("seed=1,x",), (), (), "--grid seed=x: seed: must be an integer, not 'x'"),
        (("clusters.5.size=1",), (), (), "after it comes an index from 0 to 1"),
        (("seed=1,2", "layers=2"), (), (), "--grid layers=2: layers: belongs to flow general"),
        (("flow=separated,clustered",), (), (), "(in the run flow=clustered)"),
        (("seed=0:9:10", "seed=3"), (), (), "'seed' is swept twice"),
        (("clusters.0.size=3", "clusters.00.size=4"), (), (), "'clusters.0.size' is swept twice"),
        (("save={count: 3}", "save.count=4"), (), (), "save and save.count are both swept"),
        ((), ("seed=1,2", "save.count=3"), (), "equally many values; seed has 2, save.count has 1"),
        ((), ("seed=1,x", "save.count=3,4"), (), "--zip seed=x: seed: must be an integer"),
        (("output=a,b",), (), (), "--grid output: a sweep names its run files itself"),
        (("name=a,b",), (), (), "--grid name: it is the same for all runs"),
        (("seed=1,2",), (), ("seed=3",), "--set seed: seed is swept, which would overrule it"),
        (("seed=1,2",), (), ("foo=3",), "--set foo=3: foo: unknown key"),
        (
            ("seed=0:999:1000", "save.count=2:1001:1000"),
            (),
            (),
            "1,000 × 1,000 = 1,000,000 runs are too many",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_runs(
    config: Path, grids: tuple[str, ...], zips: tuple[str, ...], settings: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(UserError) as caught:
        plan(config, *grids, zips=zips, settings=settings)
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 420
    assert sorted(path.name for path in config.parent.iterdir()) == ["quick.yaml"]
