"""Draws the README's picture: ``python -m truncflow_cli.docs.picture CONFIG.yaml PICTURE.svg``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import truncflow_cli as truncflow
from truncflow_cli.model.events import Kind
from truncflow_cli.model.problem import Array
from truncflow_cli.store import RunFile

#: Blue and vermilion of Okabe and Ito's palette, which colour-blind readers can tell apart.
COLORS = ("#0072B2", "#D55E00")

#: Times shown: the start, while points are being truncated, and the end.
TIMES = (0.0, 0.2, 10.0)

#: Where the axis of the loss begins: just before the first event.
FIRST = 5e-4

#: The part of the plane that is shown: x and y limits.
WINDOW = ((-3.5, 3.0), (-2.9, 3.4))

#: Longer than the diagonal of the window, so that an orthant drawn with such edges does not seem to end.
EDGE = 20.0

#: Where the name of each layer's apex stands beside it, in typographic points.
APEX_NOTES = ((5.0, -11.0), (-31.0, -15.0))

STYLE = {
    "font.size": 9.0,
    "mathtext.fontset": "cm",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "truncflow",  # the same file each time
}


def draw(config: Path, target: Path) -> None:
    """Run ``config`` (two clusters in the plane) and draw its geometry at three times, and its loss."""
    with tempfile.TemporaryDirectory() as folder:
        times = sorted({*np.geomspace(FIRST, TIMES[-1], 301).tolist(), *TIMES})
        saved = ["save.count=null", f"save.at={times}"]
        run = truncflow.run(config, out=Path(folder) / "run.h5", overrides=saved)
        with run, mpl.rc_context(STYLE):
            figure, axes = plt.subplot_mosaic(
                "012;333", figsize=(9.0, 4.7), height_ratios=(2.8, 1.0), layout="constrained"
            )
            for panel, s in enumerate(TIMES):
                draw_geometry(axes[str(panel)], run, int(np.argmin(np.abs(run.s - s))))
            draw_loss(axes["3"], run)
            figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None, dpi=150)
            plt.close(figure)


def draw_geometry(axes: Axes, run: RunFile, t: int) -> None:
    """Draw points, labels, orthants S_l^+ and what each layer maps its own cluster to, at saved time t."""
    assert run.R is not None and run.beta is not None, "a separated run has R and beta"
    for layer, color in enumerate(COLORS):
        draw_orthant(axes, run.R[t, layer], run.beta[t, layer], layer, color)
    for layer, color in enumerate(COLORS):
        x = run.x[run.cluster == layer]
        z = (x + run.beta[t, layer]) @ run.R[t, layer].T
        image = np.maximum(z, 0.0) @ run.R[t, layer] - run.beta[t, layer]
        cut = np.any(z <= 0.0, axis=1)
        moves = np.stack([x[cut], image[cut], np.full_like(x[cut], np.nan)], axis=1)
        axes.plot(*moves.reshape(-1, 2).T, color=color, linewidth=0.4, alpha=0.5)
        axes.scatter(*x[cut].T, s=9, facecolors="white", edgecolors=color, linewidths=0.6)
        axes.scatter(*image.T, s=5, color=color, linewidths=0)
        label = run.y_tilde[layer]
        axes.scatter(*label, s=70, marker="*", color=color, edgecolors="black", linewidths=0.5, zorder=3)
        note(axes, rf"$\tilde y_{layer + 1}$", label, (-13, -12), color)
    axes.set(xlim=WINDOW[0], ylim=WINDOW[1], aspect="equal", xticks=range(-3, 4), yticks=range(-2, 4))
    axes.set_title(f"$s = {run.s[t]:g}$")


def draw_orthant(axes: Axes, R: Array, beta: Array, layer: int, color: str) -> None:
    """Draw {x : R (x + beta) > 0}, with apex -beta and edges along the rows of R (2, 2)."""
    first, second = -beta + EDGE * R
    corners = np.array([first, -beta, second, second + EDGE * R[0]])
    axes.fill(*corners.T, color=color, alpha=0.08, linewidth=0)
    axes.plot(*corners[:3].T, color=color, linewidth=1.2)
    axes.plot(*-beta, marker="o", markersize=4, color=color)
    note(axes, rf"$-\beta^{{({layer + 1})}}$", -beta, APEX_NOTES[layer], color)


def note(axes: Axes, text: str, point: Array, offset: tuple[float, float], color: str) -> None:
    """Write ``text`` beside a point (2,), ``offset`` in typographic points away from it."""
    axes.annotate(text, point, offset, textcoords="offset points", color=color)


def draw_loss(axes: Axes, run: RunFile) -> None:
    """Draw the loss of each cluster along s, and a tick for each of its truncations."""
    shown = run.s > 0.0
    for cluster, color in enumerate(COLORS):
        axes.plot(run.s[shown], run.loss_cluster[shown, cluster], color=color, label=f"cluster {cluster + 1}")
        log = run.events[(run.events["kind"] == Kind.TRUNCATE) & (run.events["cluster"] == cluster)]
        axes.eventplot(
            log["s"], colors=color, lineoffsets=0.06 + 0.12 * cluster, linelengths=0.1, linewidths=0.8,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    axes.set(xscale="log", xlim=(FIRST, run.s[-1]), ylim=(-0.15, None), xlabel="$s$", ylabel="loss")
    axes.legend(frameon=False)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
