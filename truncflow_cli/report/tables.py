"""The report of a run as data: one object with everything, or one row of a table of runs."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from truncflow_cli.problem import Array
from truncflow_cli.report.history import by_kind, rests, separation_spans
from truncflow_cli.report.json_output import clean
from truncflow_cli.report.sentences import story
from truncflow_cli.report.summary import Summary
from truncflow_cli.run_data import Run

#: Keys of a config that say where a run goes, not what it is.
NOT_THE_RUN = ("name", "output")
#: Arrays of numbers that take more characters than this are told apart by a checksum.
LONGEST_VALUE = 200
#: What stands for a key that a config does not have.
ABSENT = "-"


def run_row(run: Run) -> dict[str, Any]:
    """Return one row for a run: what it is, its loss, events by kind, largest |D(s)|, verdicts, time."""
    attrs, summary = run.attrs, Summary(run)
    return {
        "file": str(run.path),
        "flow": attrs["flow"],
        "equations": attrs.get("equations"),
        "rotation_frozen": bool(attrs.get("rotation_frozen", False)),
        "status": attrs["status"],
        "seed": attrs.get("seed"),
        **{name: summary.sizes[name] for name in ("N", "Q", "C", "L")},
        "s_end": float(run.s[-1]),
        "loss_first": float(run.loss[0]),
        "loss_last": float(run.loss[-1]),
        "events": int(run.events.size),
        **{f"events_{kind}": number for kind, number in by_kind(run).items()},
        "max_abs_D": float(np.abs(run.energy_balance).max()),
        **{f"certificate_{name}": summary.verdict(name) for name in summary.certificates},
        "elapsed_seconds": float(attrs.get("elapsed_seconds", math.nan)),
    }


def run_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Return a row for each run, with what differs between their configs: the table of a sweep.

    Each run is looked at once, in turn, so that ``runs`` can open them one after the other.
    """
    made = [(run_row(run), flat_settings(run)) for run in runs]
    different = differing([settings for _, settings in made])
    rows = []
    for index, (row, _) in enumerate(made):
        keys = {key: values[index] for key, values in different.items() if key not in row}
        rows.append({"file": row.pop("file"), **keys, **row})
    return rows


def differing_keys(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the dotted config keys in which runs differ, each with its value in every run, in their order."""
    return differing([flat_settings(run) for run in runs])


def flat_settings(run: Run) -> dict[str, Any]:
    """Return a run's config by dotted keys.

    List entries are numbered, as in ``--set``, but arrays of numbers are one value each.
    """
    return dict(_flattened(run.settings))


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the keys of flat configs that do not have one value in all, with their values in each.

    ABSENT stands for a key that a config does not have.
    """
    keys = dict.fromkeys(key for each in settings for key in each)
    columns = {key: [each.get(key, ABSENT) for each in settings] for key in keys}
    return {
        key: values
        for key, values in columns.items()
        if key not in NOT_THE_RUN and any(value != values[0] for value in values)
    }


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from _flattened(entry, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and not _numeric(value):
        for index, entry in enumerate(value):
            yield from _flattened(entry, f"{path}.{index}")
    else:
        yield path, _shortened(value) if isinstance(value, list) else value


def _numeric(value: Any) -> bool:
    """Whether a value is an array of numbers: a number, or a list of such values."""
    if isinstance(value, list):
        return all(_numeric(entry) for entry in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shortened(value: list[Any]) -> Any:
    """Return an array of numbers as it is if it is small, else its shape and a checksum."""
    text = json.dumps(value)
    if len(text) <= LONGEST_VALUE:
        return value
    shape: list[int] = []
    inner: Any = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    return f"{'×'.join(map(str, shape))} numbers (checksum {zlib.crc32(text.encode()):08x})"


def run_json(run: Run) -> dict[str, Any]:
    """Return everything that the report shows as plain Python values; what is not a finite number is None."""
    summary = Summary(run)
    balance = summary.certificates.get("energy_balance")
    cleaned: dict[str, Any] = clean(
        {
            "file": run.path,
            "attributes": run.attrs,
            "sizes": summary.sizes,
            "clusters": summary.names,
            "tolerance": {name: summary.section("integrator").get(name) for name in ("rtol", "atol")},
            "notes": run.notes,
            "warnings": run.warnings,
            "story": story(summary),
            "loss": {
                **_ends(run.loss),
                "largest": run.loss.max(),
                "clusters": [_ends(part) for part in run.loss_cluster.T],
            },
            "energy_balance": {
                "largest": np.abs(run.energy_balance).max(),
                "last": run.energy_balance[-1],
                "tolerance": None if balance is None else balance.bound,
                "within_tolerance": None if balance is None else balance.verdict == "holds",
            },
            "state": {name: _ends(values) for name, values in summary.quantities.items()},
            "events": {
                "total": run.events.size,
                "by_kind": by_kind(run),
                "truncations": [vars(history) for history in summary.truncations],
                "not_separated": [
                    {"cluster": cluster, "layer": layer, **vars(span)}
                    for (cluster, layer), spans in separation_spans(run).items()
                    for span in spans
                ],
                "rests": [{"layer": layer, "s": s} for layer, s in rests(run).items()],
            },
            "counters": run.counters,
            "certificates": {
                name: {key: getattr(certificate, key) for key in CERTIFICATE_FIELDS}
                for name, certificate in summary.certificates.items()
            },
            "config": run.settings,
        }
    )
    return cleaned


CERTIFICATE_FIELDS = ("statement", "source", "hypothesis", "verdict", "value", "bound", "margin")


def _ends(values: Array) -> dict[str, float]:
    return {"first": values[0], "last": values[-1]}
