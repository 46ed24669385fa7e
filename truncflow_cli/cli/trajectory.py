"""``truncflow trajectory``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from truncflow_cli.cli.options import Debug, RunPath

if TYPE_CHECKING:
    from truncflow_cli.model.problem import Array
    from truncflow_cli.store import RunFile


def trajectory(run: RunPath, debug: Debug = False) -> None:
    """Print the saved times as CSV, a row a time.

    Columns: s, loss, loss_J of each cluster J, energy_balance, every entry of the state with its indices (as
    beta_L_Q and R_L_R_Q for layer L, or B_Q_J and W_R_Q), and truncated_fraction_L_R. Indices count from 0.
    """
    import numpy as np

    from truncflow_cli.cli.output import print_csv
    from truncflow_cli.store import open_run

    with open_run(run) as file:
        columns = dict(_columns(file))
    print_csv(list(columns), (row.tolist() for row in np.column_stack(list(columns.values()))))


def _columns(run: RunFile) -> Iterator[tuple[str, Array]]:
    """Yield a name and a column (T,) for every entry of every dataset along s."""
    import numpy as np

    named = {
        "s": run.s,
        "loss": run.loss,
        "loss_cluster": run.loss_cluster,
        "energy_balance": run.energy_balance,
        "beta": run.beta,
        "R": run.R,
        "B": run.B,
        "W": run.W,
        "truncated_fraction": run.truncated_fraction,
    }
    for name, values in named.items():
        if values is not None:
            prefix = "loss" if name == "loss_cluster" else name
            for index in np.ndindex(values.shape[1:]):
                yield "_".join([prefix, *map(str, index)]), values[(slice(None), *index)]
