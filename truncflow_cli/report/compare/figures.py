"""Figures of several runs: their losses over one another, how far they part, and their events against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from truncflow_cli.report.compare.compare import Comparison, Member
from truncflow_cli.report.figures import require_matplotlib

#: Runs that are compared with the first one in figures; the losses of all are drawn.
MOST_COMPARED = 12


def draw_comparison(
    members: Sequence[Member], comparisons: Sequence[Comparison], names: Sequence[str], folder: Path
) -> Iterator[Path]:
    """Draw how runs compare, and yield each file once it is there.

    Args:
        members: the runs, at least two.
        comparisons: runs compared with the first, in the order of ``members`` from the second on.
        names: what the runs are called, all different.
        folder: where ``comparison-*.pdf``, ``.svg`` and ``.png`` go; made if it is missing.

    Raises:
        UserError: matplotlib is missing, or a file cannot be written.
    """
    require_matplotlib()
    from truncflow_cli.report.compare import drawings
    from truncflow_cli.report.figures.style import applied, save

    compared = list(comparisons[:MOST_COMPARED])
    with applied():
        made = [
            ("loss", drawings.losses(members, names)),
            ("distance", drawings.distances(members, compared, names)),
        ]
        for comparison, name in zip(compared, names[1:], strict=False):
            if comparison.matching is not None and len(comparison.matching.pairs):
                made.append((f"events-{name}", drawings.event_shifts(comparison, (names[0], name))))
    for title, figure in made:
        yield from save(figure, folder, f"comparison-{title}")
