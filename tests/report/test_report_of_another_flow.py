"""A flow with arrays unknown to the report is shown by its loss, balance, events, certificates and norms."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from certified_runs import separated
from rich.console import Console

from truncflow_cli.flows import registry
from truncflow_cli.report.compare import compare
from truncflow_cli.report.compare.tables import comparison_json
from truncflow_cli.report.tables import run_json, run_row
from truncflow_cli.report.text import render
from truncflow_cli.run_data import Certificate, Run, Source

TOY = registry.Flow(
    name="toy",
    theorem="Exercise 1",
    meaning="a point moves",
    arrays=(registry.StateArray("theta", ("s", "input"), "where it is"),),
    solve="nowhere:nothing",
    acts_on="",
)


@pytest.fixture(autouse=True)
def toy_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FLOWS", {**registry.FLOWS, "toy": TOY})


def toy(scale: float = 1.0) -> Run:
    s = np.linspace(0.0, 2.0, 21)
    theta = scale * np.exp(-s)[:, None] * np.array([3.0, 4.0])
    loss = 0.5 * (theta**2).sum(axis=1)
    base = separated()
    arrays = {
        "data/x": base.x,
        "data/cluster": base.cluster,
        "data/y": base.y,
        "data/y_tilde": base.y_tilde,
        "trajectory/s": s,
        "trajectory/theta": theta,
        "trajectory/loss": loss,
        "trajectory/loss_cluster": np.stack([loss, 0.0 * loss], axis=1),
        "trajectory/energy_balance": 1e-12 * s,
        **{f"events/{name}": base.events[name][:0] for name in base.events.dtype.names},
    }
    certificate = Certificate("orbit", "it falls", "(1)", "none", "holds", 0.5, 1.0, 0.5)
    attrs = {**base.attrs, "flow": "toy"}
    lengths = {"N": len(base.x), "C": 2, "L": 0, "Q": 2, "T": 21, "E": 0}
    run = Run(Path("toy.h5"), attrs, "flow: toy\n", lengths, Source(arrays.get), settings={"flow": "toy"})
    run.certificates = MappingProxyType({"orbit": certificate})
    return run


def test_the_terminal_shows_it() -> None:
    out = io.StringIO()
    render(toy(), Console(file=out, width=80))
    text = " ".join(out.getvalue().split())
    for words in ("toy (Exercise 1)", "The loss fell from 12.5", "‖theta‖ 5 0.6767", "Events: 0", "1 hold"):
        assert words in text


def test_json_and_tables_have_it() -> None:
    found = json.loads(json.dumps(run_json(toy()), allow_nan=False))
    assert found["state"]["‖theta‖"]["first"] == 5.0
    assert found["certificates"]["orbit"]["verdict"] == "holds"
    assert run_row(toy())["certificate_orbit"] == "holds"


def test_two_runs_of_it_are_compared() -> None:
    found = comparison_json(compare(toy(), toy(2.0)))
    assert found["differences"]["‖Δtheta‖"]["largest"] == pytest.approx(5.0)
