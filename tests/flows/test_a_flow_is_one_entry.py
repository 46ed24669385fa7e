"""A flow of its own, put into the registry and nowhere else, runs, stops, goes on, is reported and checked.

Its state p (Q,) starts at the first layer's bias. With rates a (Q,) and a kink of the loss at p_0 = c,

    L(p) = ½ Σ_r a_r p_r² + ½ (b − a_0) c²  where p_0 > c,    the same with b for a_0, without the constant, elsewhere,

∂_s p = −∇L is linear on each side, and the crossing of p_0 = c is an event.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from run_file_equality import differences
from typer.testing import CliRunner

import truncflow_cli
from truncflow_cli import api, config, runfile
from truncflow_cli.cli.app import app
from truncflow_cli.errors import UserError
from truncflow_cli.events import Kind, event_log
from truncflow_cli.flows.registry import FLOWS, Flow, StateArray
from truncflow_cli.problem import Problem
from truncflow_cli.saved_state import Chunk, Saved, State, number
from truncflow_cli.solver.assemble import Assembler, never
from truncflow_cli.solver.piece import NO_TIMES, Piece

CONFIG = """\
flow: toy
labels: [[0.0, 0.0]]
initial: {bias: [[2.0, 1.0]]}
integrator: {s_end: 3.0}
save: {count: 31}
output: toy.h5
"""

RATES = (1.0, 0.5)
BEYOND = 2.0
KINK = 0.7


@dataclass(frozen=True)
class Decay:
    """p e^{−rate t} from the beginning of a piece on."""

    p: np.ndarray
    rate: np.ndarray
    constant: float
    dissipated: float

    def at(self, t: np.ndarray) -> np.ndarray:
        return self.p * np.exp(-self.rate * t[:, None])

    def sample(self, t: np.ndarray) -> dict[str, np.ndarray]:
        p = self.at(t)
        lost = 0.5 * np.sum(self.rate * (self.p**2 - p**2), axis=1)
        loss = 0.5 * np.sum(self.rate * p**2, axis=1) + self.constant
        return {"p": p, "loss_cluster": loss[:, None], "energy": self.dissipated + lost}

    def state(self) -> State:
        return {"p": self.p, "rate": self.rate, "more": np.array([self.constant, self.dissipated])}


@dataclass
class Counters:
    steps: int = 0


class ToySolver:
    def __init__(self, problem: Problem) -> None:
        self.s, self.finished, self.counters = 0.0, False, Counters()
        self._s_end = problem.settings.s_end
        constant = 0.5 * (BEYOND - RATES[0]) * KINK**2
        self._now = Decay(problem.beta0[0].copy(), np.array(RATES), constant, 0.0)

    def start(self) -> Piece:
        return Piece(0.0, 0.0, self._now, event_log([]))

    def advance(self, until: float = -np.inf, saved: np.ndarray = NO_TIMES) -> Piece:
        """Go to the kink, or the end, in steps of at most 0.1."""
        now, start = self._now, self.s
        self.counters.steps += 1
        crossing = np.log(now.p[0] / KINK) / now.rate[0] if now.p[0] > KINK else np.inf
        t = min(crossing, 0.1, self._s_end - start)
        self.s = self._s_end if t == self._s_end - start else start + t
        self.finished = self.s >= self._s_end
        there = now.sample(np.array([t]))
        p, rate, constant, events = there["p"][0], now.rate, now.constant, []
        if t == crossing:
            p = np.array([KINK, *p[1:]])
            rate, constant = np.array([BEYOND, *RATES[1:]]), 0.0
            events = [(self.s, Kind.COLLAPSE, -1, -1, -1, 0, -1)]
        self._now = Decay(p, rate, constant, float(there["energy"][0]))
        return Piece(start, self.s, now, event_log(events))

    def state(self) -> State:
        return {"s": number(self.s), "steps": np.array(self.counters.steps), **self._now.state()}

    def restore(self, saved: Saved) -> None:
        self.s, self.counters.steps = saved.number("s"), saved.integer("steps")
        self.finished = self.s >= self._s_end
        self._now = self.restored_output(saved)

    def constant_output(self) -> Decay:
        return self._now

    def restored_output(self, saved: Saved) -> Decay:
        p, rate = (saved.array(name, "f8", self._now.p.shape) for name in ("p", "rate"))
        return Decay(p, rate, *saved.array("more", "f8", (2,)).tolist())


def solve_toy(
    problem: Problem,
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
    take_points: bool = False,
) -> Iterator[Chunk]:
    return Assembler(problem, [ToySolver(problem)], saved).run(due)


TOY = Flow(
    name="toy",
    theorem="no theorem",
    meaning="a point that decays",
    arrays=(StateArray("p", ("s", "input"), "where the point is"),),
    solve=f"{__name__}:solve_toy",
    acts_on="",
    needs_clusters=False,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a config, where there is the flow."""
    monkeypatch.setitem(FLOWS, "toy", TOY)
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(CONFIG)
    return tmp_path


def truncflow(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments), prog_name="truncflow")
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_it_runs_and_its_run_file_has_its_own_arrays() -> None:
    truncflow("run", "toy.yaml", "--quiet")
    with runfile.open_run(Path("toy.h5")) as run:
        assert run.status == "complete"
        crossing = np.log(2.0 / KINK) / RATES[0]
        assert run.events["s"].tolist() == pytest.approx([crossing], abs=1e-14)
        late = run.s > crossing
        p0 = np.where(late, KINK * np.exp(-BEYOND * (run.s - crossing)), 2.0 * np.exp(-RATES[0] * run.s))
        p1 = np.exp(-RATES[1] * run.s)
        np.testing.assert_allclose(run.array("trajectory/p"), np.stack([p0, p1], axis=1), rtol=1e-13)
        assert np.abs(run.energy_balance).max() < 1e-14
        assert run.counters["steps"] > 30
    with truncflow_cli.run("toy.yaml", "door.h5") as run:
        assert run.flow == "toy"


def test_it_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    truncflow("run", "toy.yaml", "--quiet", "-o", "whole.h5")
    monkeypatch.setattr(runfile.RunWriter, "due", True)  # a chunk after each step
    plan = api.prepare(api.load("toy.yaml"), Path("stopped.h5"))
    chunks = []

    def stop(chunk: Chunk) -> None:
        chunks.append(chunk)
        if len(chunks) == 12:
            raise KeyboardInterrupt

    assert isinstance(api.execute(plan, watch=stop).error, KeyboardInterrupt)
    with runfile.open_run(Path("stopped.h5")) as run:
        assert run.status == "interrupted" and run.s[-1] < 3.0
    truncflow("run", "toy.yaml", "--quiet", "-o", "stopped.h5", "--resume")
    assert differences(Path("whole.h5"), Path("stopped.h5")) == []
    truncflow("run", "toy.yaml", "--quiet", "-o", "whole.h5", "--resume", "--set", "integrator.s_end=4")
    with runfile.open_run(Path("whole.h5")) as run:
        assert run.s[-1] == 4.0


def test_it_is_reported_in_every_form() -> None:
    truncflow("run", "toy.yaml", "--quiet")
    assert "toy" in truncflow("report", "toy.h5")
    facts = json.loads(truncflow("report", "toy.h5", "--json"))
    assert facts["attributes"]["flow"] == "toy"
    rows = list(csv.DictReader(io.StringIO(truncflow("report", "toy.h5", "--csv"))))
    assert [row["flow"] for row in rows] == ["toy"]
    truncflow("report", "toy.h5", "--html", "page.html", "--figures", "figures")
    assert "toy" in Path("page.html").read_text()
    assert list(Path("figures").iterdir())
    assert len(truncflow("events", "toy.h5").splitlines()) == 2
    assert len(truncflow("trajectory", "toy.h5").splitlines()) == 32
    truncflow("run", "toy.yaml", "--quiet", "-o", "other.h5", "--set", "integrator.s_end=2")
    assert "toy" in truncflow("report", "toy.h5", "other.h5")


def test_it_is_checked_and_planned() -> None:
    assert "toy" in truncflow("check", "toy.yaml")
    assert json.loads(truncflow("run", "toy.yaml", "--dry-run", "--json"))["memory_bytes"] > 0
    assert '"toy"' in truncflow("schema")


def test_a_flow_that_there_is_not_is_a_user_error_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    truncflow("run", "toy.yaml", "--quiet")
    monkeypatch.delitem(FLOWS, "toy")
    for arguments in (
        ("run", "toy.yaml", "--force"),
        ("run", "toy.yaml", "--dry-run"),
        ("check", "toy.yaml"),
        ("report", "toy.h5"),
        ("report", "toy.h5", "--json"),
        ("report", "toy.h5", "--csv"),
        ("report", "toy.h5", "--html", "page.html"),
        ("events", "toy.h5"),
        ("trajectory", "toy.h5"),
        ("sweep", "toy.yaml", "--grid", "integrator.s_end=1,2"),
        ("new", "other", "--flow", "toy"),
    ):
        assert truncflow(*arguments, code=2) == ""
    with pytest.raises(UserError, match="toy"):
        config.load_text(CONFIG, Path.cwd(), "toy")
