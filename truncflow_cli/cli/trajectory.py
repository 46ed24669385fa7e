"""``truncflow trajectory``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from truncflow_cli.cli.options import Debug, RunPath

if TYPE_CHECKING:
    from truncflow_cli.problem import Array


def trajectory(run: RunPath, debug: Debug = False) -> None:
    """Print the saved times as CSV, a row a time.

    Columns: s, loss, loss_J of each cluster J, energy_balance, every entry of the state with its indices (as
    beta_L_Q and R_L_R_Q for layer L, or B_Q_J and W_R_Q), and truncated_fraction_L_R. Indices count from 0.
    A file of any length is printed as it is read.
    """
    from truncflow_cli.cli.output import print_csv
    from truncflow_cli.runfile import open_run

    with open_run(run) as file:
        blocks = file.sample_blocks()
        first = next(blocks)
        print_csv(_header(first), _rows(chain([first], blocks)))


def _header(samples: Mapping[str, Array]) -> list[str]:
    """Return the name of every entry of every dataset along s, (m, ...) each."""
    import numpy as np

    return [
        "_".join(["loss" if name == "loss_cluster" else name, *map(str, index)])
        for name, values in samples.items()
        for index in np.ndindex(values.shape[1:])
    ]


def _rows(blocks: Iterator[dict[str, Array]]) -> Iterator[list[float]]:
    import numpy as np

    for samples in blocks:
        parts = [values.reshape(len(values), -1) for values in samples.values()]
        yield from np.hstack(parts).tolist()
