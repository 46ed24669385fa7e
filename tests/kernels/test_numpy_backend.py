"""Both flows run with numpy alone, and give what the compiled code gives: the same events, and the same state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from network_problems import network_problem
from random_problems import facing_clusters, lattice, random_problem
from reference.compare import Solved, run_solver
from reference.problems import CATALOGUE, general_normal, integers, separated_normal
from stopped_runs import stopped_again_and_again, undisturbed
from typer.testing import CliRunner

import truncflow_cli
from truncflow_cli import kernels
from truncflow_cli.cli.app import app
from truncflow_cli.errors import UserError
from truncflow_cli.kernels import compiling, library, reference_series
from truncflow_cli.kernels.compiled import first_exit
from truncflow_cli.kernels.compiled_layer import CompiledLayer
from truncflow_cli.kernels.compiled_network import CompiledNetwork
from truncflow_cli.problem import Problem
from truncflow_cli.runfile import checkpoint
from truncflow_cli.runfile.resume import check_origin

WHAT = ["kind", "layer", "point", "coordinate", "cluster", "side"]

PROBLEMS = {
    **{name: problem for name, (problem, _) in CATALOGUE.items()},
    "clusters that watch one another": lambda: random_problem(3, dim=3, points=20, clusters=3, s_end=2.0),
    "facing clusters": lambda: facing_clusters(1),
    "printed equations": lambda: random_problem(2, dim=3, points=15, equations="printed", s_end=2.0),
    "lattice": lambda: lattice(0),
    "integers, separated": lambda: integers("separated", 3),
    "integers, general": lambda: integers("general", 3, 2.0),
    "one dimension": lambda: random_problem(5, dim=1, points=30, clusters=2, s_end=2.0),
    "general, pins": lambda: network_problem(6, 3, 2, 3, 60, apart=2.0),
    "general, one dimension": lambda: general_normal(2, 20, 1, 3, 2),
    "ten dimensions": lambda: random_problem(7, dim=10, points=40, s_end=1.0),
}


def with_backend(problem: Problem, backend: str) -> Problem:
    return replace(problem, settings=problem.settings.model_copy(update={"backend": backend}))


def assert_same(found: Solved, wanted: Solved) -> None:
    assert found.events[WHAT].tolist() == wanted.events[WHAT].tolist()
    np.testing.assert_allclose(found.events["s"], wanted.events["s"], rtol=0.0, atol=1e-9)
    for name, array in wanted.samples.items():
        np.testing.assert_allclose(found.samples[name], array, rtol=0.0, atol=1e-9, err_msg=name)


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Have no compiled code, and nothing to compile it with."""
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    monkeypatch.setattr(compiling, "library_path", lambda level: tmp_path / level)
    library.library.cache_clear()
    yield
    library.library.cache_clear()


@pytest.mark.parametrize("name", PROBLEMS)
def test_events_and_states_are_those_of_the_compiled_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = PROBLEMS[name]()
    wanted = run_solver(with_backend(problem, "compiled"))
    for kernel in (CompiledLayer, CompiledNetwork):
        monkeypatch.setattr(kernel, "expand", None)
    assert_same(run_solver(with_backend(problem, "numpy")), wanted)


def test_what_is_compared_has_events_of_all_kinds() -> None:
    kinds = {int(kind) for name in PROBLEMS for kind in run_solver(PROBLEMS[name]()).events["kind"]}
    assert len(kinds) >= 7


@pytest.mark.parametrize("name", ["pins left both ways", "clusters that watch one another", "general, pins"])
def test_stopped_at_any_steps(name: str) -> None:
    problem = with_backend(PROBLEMS[name](), "numpy")
    whole = undisturbed(problem)
    again, stops = stopped_again_and_again(problem, np.random.default_rng(0), 0.2)
    assert [key for key in whole if whole[key] != again[key]] == []
    assert stops > 1


@pytest.mark.parametrize("seed", range(20))
def test_a_polynomial_leaves_its_side_when_the_compiled_code_says_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(50):
        # Roots apart from one another, or at the start; some are double: there it only touches zero.
        roots = rng.choice(np.append(0.0, np.arange(0.1, 1.5, 0.1) + 0.02 * rng.random(14)), 5, replace=False)
        double = rng.choice(roots, int(rng.integers(0, 3)), replace=False)
        c = np.polynomial.polynomial.polyfromroots([*roots, *double]) * rng.choice([-1.0, 1.0])
        wanted, found = (exit_(c, 1.0, 1e-12) for exit_ in (first_exit, reference_series.first_exit))
        least = min(abs(np.polynomial.polynomial.polyval(t, c)) for t in (found, wanted))
        assert found == pytest.approx(wanted, abs=1e-9) or (found > 0.0 < wanted and least < 1e-13)


def test_auto_takes_compiled_code_where_it_is_there() -> None:
    assert kernels.available()
    assert [kernels.chosen(asked) for asked in ("auto", "compiled", "numpy")] == [
        "compiled",
        "compiled",
        "numpy",
    ]


def test_without_a_compiler_numpy_does_it_and_that_is_said_once(nothing_compiled: None) -> None:
    said: list[str] = []
    kernels.prepare("auto", said.append)
    kernels.prepare("numpy", said.append)
    assert len(said) == 1
    assert "numpy does the work" in said[0]
    assert "a C compiler helps" in said[0]
    assert "\n" not in said[0]
    assert kernels.chosen("auto") == "numpy"
    for refused in (lambda: kernels.chosen("compiled"), lambda: kernels.prepare("compiled", said.append)):
        with pytest.raises(UserError, match="backend: compiled cannot be had"):
            refused()


CONFIGS = sorted((Path(truncflow_cli.__file__).parent / "templates").glob("*.yaml"))
SHORT = ["--set", "integrator.s_end=0.2", "--set", "integrator.backend=numpy", "--quiet"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_flow_runs_without_compiled_code(config: Path, tmp_path: Path, nothing_compiled: None) -> None:
    out = tmp_path / "run.h5"
    ran = CliRunner().invoke(app, ["run", str(config), "-o", str(out), *SHORT])
    assert ran.exit_code == 0, ran.output
    with truncflow_cli.open_run(out) as run:
        assert run.status == "complete"
        assert run.attrs.get("backend", "numpy") == "numpy"
        assert all(certificate.verdict != "violated" for certificate in run.certificates.values())


def test_the_other_backend_does_not_go_on_with_a_run(tmp_path: Path) -> None:
    problem = separated_normal(2)
    here, there = (checkpoint.origin_of(with_backend(problem, b)) for b in ("compiled", "numpy"))
    check_origin(tmp_path / "run.h5", here, here)
    with pytest.raises(UserError, match=r"Set integrator\.backend=numpy"):
        check_origin(tmp_path / "run.h5", there, here)


def test_batched_events_need_compiled_code(tmp_path: Path) -> None:
    arguments = ["check", str(CONFIGS[0].with_name("separated.yaml")), "--set", "integrator.events=batched"]
    refused = CliRunner().invoke(app, [*arguments, "--set", "integrator.backend=numpy"])
    assert refused.exit_code == 2
    assert "batched needs compiled code" in refused.output
