"""The picture of a sweep shows any column of its table; without matplotlib the sweep works and says what is missing."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from sweep_samples import QUICK
from typer.testing import CliRunner

from truncflow_cli.cli.app import app
from truncflow_cli.errors import UserError
from truncflow_cli.sweep import local
from truncflow_cli.sweep.grid import Member
from truncflow_cli.sweep.member import Report, perform
from truncflow_cli.sweep.picture import figure
from truncflow_cli.sweep.plan import Sweep, plan_sweep
from truncflow_cli.sweep.run import Table
from truncflow_cli.sweep.summary import draw, quantity, summary
from truncflow_cli.sweep.table import columns, header, read_csv


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return path


def plan(config: Path, *grids: str) -> Sweep:
    return plan_sweep(config, grids, folder=config.parent / "out")


def made(config: Path, column: str, values: dict[str, list[Any]]) -> Any:
    """Return the picture of a made-up column; ``values`` has the grids, and under "" the column."""
    cells = values.pop("")
    statuses = values.pop("status", ["complete"] * len(cells))
    sweep = plan(config, *(f"{key}={','.join(map(str, each))}" for key, each in values.items()))
    rows = [{"status": status, column: cell} for status, cell in zip(statuses, cells, strict=True)]
    return figure(summary(sweep, rows, column))


def test_every_column_of_the_table_can_be_drawn(config: Path) -> None:
    sweep = plan(config, "seed=0,1", "integrator.s_end=1,2")
    sweep.folder.mkdir()
    table = Table(sweep)
    for member in sweep.members[:3]:
        table.take(perform(sweep.source, member))
    table.write()
    rows = table.rows()
    assert set(header(rows)) - {"file", "message"} == set(columns(sweep.keys))
    assert [row["status"] for row in rows] == ["complete"] * 3 + ["not run"]
    for each in (rows, read_csv(sweep.table_path)):  # as they are, and as they are read from the file
        shown = summary(sweep, each, quantity("loss", sweep))
        assert shown.label == "loss at the end"
        assert shown.cells == (*(row["loss_last"] for row in rows[:3]), None)
    files = draw(sweep, rows, quantity("status", sweep))
    assert sorted(path.name for path in files) == ["sweep.pdf", "sweep.png", "sweep.svg"]
    assert files[0].parent == sweep.folder
    assert (sweep.folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("grids", "name", "complaint"),
    [
        (["seed=0,1"], "los", "no such column (did you mean 'loss'?)"),
        (["seed=0,1"], "integrator.rtol", "no such column"),
        (
            ["seed=0,1", "save.count=2,3", "integrator.s_end=1,2", "integrator.rtol=1e-6,1e-7"],
            "loss",
            "has 4",
        ),
        (
            ["seed=0:12:13", "save.count=2,3", "integrator.s_end=1,2"],
            "loss",
            "panels, up to 12; seed has 13 values",
        ),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_runs(
    config: Path, grids: list[str], name: str, complaint: str
) -> None:
    with pytest.raises(UserError) as caught:
        quantity(name, plan(config, *grids))
    assert complaint in str(caught.value)


def test_one_axis_is_a_line_with_gaps(config: Path) -> None:
    shown = made(config, "loss_last", {"seed": [4, 0, 2], "": [3.0, None, 5.0]})
    (axes,) = shown.axes
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0.0, 2.0, 4.0])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [np.nan, 5.0, 3.0])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("seed", "loss at the end")
    assert shown.get_suptitle() == "quick; 1 of 3 runs have no value"


def test_two_axes_are_a_heat_map(config: Path) -> None:
    grid = {"seed": [0, 1], "integrator.s_end": [1, 2, 3], "": [1.0, 2.0, 3.0, 4.0, None, 6.0]}
    axes, _bar = made(config, "events_pin", grid).axes
    (mesh,) = (item for item in axes.collections if isinstance(item, QuadMesh))
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), [[1, 2, 3], [4, np.nan, 6]])
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4", "6"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3"]


def test_three_axes_are_panels_on_one_scale_and_verdicts_are_colours(config: Path) -> None:
    verdicts = ["holds", "violated", None, "holds"] * 2
    grid = {"save.count": [2, 3], "seed": [0, 1], "integrator.s_end": [1, 2], "": verdicts}
    first, second, bar = made(config, "certificate_separation", grid).axes
    assert (first.get_title("left"), second.get_title("left")) == ("save.count = 2", "save.count = 3")
    colours = [panel.collections[0].get_cmap()(panel.collections[0].norm(1.0)) for panel in (first, second)]
    assert colours == [mpl.colors.to_rgba("#D55E00")] * 2  # violated
    assert [label.get_text() for label in bar.get_yticklabels()] == ["holds", "violated"]


def test_letters_that_the_font_lacks_are_boxes_without_a_word(config: Path) -> None:
    sweep = plan(config, "clusters.0.name=日本,b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(draw(sweep, [{}, {}], "loss_last")) == 3


def test_runs_that_stopped_early_are_marked_and_counted(config: Path) -> None:
    stopped = ["complete", "failed", "interrupted", "complete"]
    shown = made(config, "loss_last", {"seed": [0, 1, 2, 3], "": [1.0, 2.0, 3.0, None], "status": stopped})
    np.testing.assert_array_equal(shown.axes[0].lines[1].get_xdata(), [1.0, 2.0])
    assert shown.axes[0].lines[1].get_markerfacecolor() == "white"
    assert shown.get_suptitle() == "quick; 1 of 4 runs have no value; ○: 2 of 4 runs stopped before their end"
    grid = {"seed": [0, 1], "integrator.s_end": [1, 2], "": [1.0, 2.0, 3.0, 4.0], "status": stopped}
    shown = made(config, "loss_last", grid)
    hollow = next(line for line in shown.axes[0].lines if line.get_markerfacecolor() == "white")
    np.testing.assert_array_equal(hollow.get_xdata(), [1.5, 0.5])
    assert "2 of 4 runs stopped" in shown.get_suptitle()


def test_equal_numbers_lie_in_the_middle_of_the_scale(config: Path) -> None:
    grid = {"seed": [0, 1], "integrator.s_end": [1, 2], "": [40.0, 40.0, 40.0, None]}
    scale = made(config, "events", grid).axes[0].collections[0].norm
    assert scale(40.0) == pytest.approx(0.5)


def test_numbers_along_an_axis_are_written_in_one_way(config: Path) -> None:
    tolerances = ["1e-7", "3.1622776601683795e-9"]
    grid = {"seed": [0, 1], "integrator.rtol": tolerances, "": [1.0, 2.0, 3.0, 4.0]}
    axes = made(config, "loss_last", grid).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1e-7", "3.16e-9"]


def test_without_matplotlib_the_sweep_works(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "matplotlib", missing)

    def here(source: Any, members: Sequence[Member], workers: int, take: Any) -> None:
        for member in members:
            report: Report = perform(source, member)
            take(report)

    monkeypatch.setattr(local, "run_local", here)
    out = config.parent / "out"
    done = CliRunner().invoke(
        app, ["sweep", str(config), "--grid", "seed=1", "--summary", "loss", "-o", str(out)]
    )
    assert (done.exit_code, done.stdout) == (0, f"{out / 'sweep.csv'}\n")
    assert "warning: no summary: pictures need matplotlib" in done.stderr
    assert "pip install 'truncflow[plot]'" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["seed=1.h5", "sweep.csv"]
