"""What a comparison needs of each run once its file is closed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from truncflow_cli.problem import Array
from truncflow_cli.report.content import certificates_of
from truncflow_cli.report.tables import flat_settings, run_row
from truncflow_cli.run_data import RunLike


@dataclass(frozen=True)
class Member:
    """One of the runs that are compared.

    Attributes:
        row: its row in a table of runs.
        settings: its config, by dotted keys.
        s: (T,) its saved times.
        loss: (T,) its loss.
        event_times: (E,) times of its events.
        verdicts: names of its certificates, by verdict.
    """

    row: Mapping[str, Any]
    settings: Mapping[str, Any]
    s: Array
    loss: Array
    event_times: Array
    verdicts: Mapping[str, list[str]]

    @property
    def path(self) -> str:
        """The run file."""
        return str(self.row["file"])


def member(run: RunLike) -> Member:
    """Return what has to be kept of a run."""
    verdicts: dict[str, list[str]] = {}
    for certificate in certificates_of(run).values():
        verdicts.setdefault(certificate.verdict, []).append(certificate.name)
    return Member(run_row(run), flat_settings(run), run.s, run.loss, run.events["s"].copy(), verdicts)
