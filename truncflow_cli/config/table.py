"""One labelled table as clusters: a class is a cluster; standardized, reduced and scaled on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from truncflow_cli.config.clusters import Clusters
from truncflow_cli.config.clusterschema import LabelledTable
from truncflow_cli.config.csvtable import Table, as_number, is_missing, read_csv
from truncflow_cli.config.errors import Fault, listed, shown, suggestion
from truncflow_cli.config.files import readable, reading
from truncflow_cli.errors import one_line
from truncflow_cli.problem import Array, BoolArray

_ONE_COLUMN = "; is the separator a comma, semicolon or tab?"
_NOT_CSV = (".npy", ".npz", ".h5", ".hdf5", ".xlsx", ".xls", ".parquet", ".json", ".gz", ".zip")


def read_table(setting: LabelledTable, base_dir: Path) -> Clusters:
    """Read a labelled CSV table.

    Classes are sorted by value: as numbers if all of them are numbers, else as texts.

    Raises:
        Fault: unreadable, a column that is not there or holds no numbers, a missing value.
    """
    path = base_dir / setting.file
    if path.suffix.lower() in _NOT_CSV:
        raise Fault(f"{path.name}: a labelled table is a CSV file", ("file",))
    readable(path)
    with reading(path.name):
        table = _with_header(path, setting)
    label = _column(table, setting.label_column, "label_column")
    columns = _feature_columns(table, setting, label)
    classes = table.texts(label, "label")
    x = np.stack([_feature(table, column, label) for column in columns], axis=1)
    x, notes, warnings = _transformed(x, setting, [table.column_name(column) for column in columns])
    numbers = {name: as_number(name) for name in classes}
    all_numbers = None not in numbers.values()
    distinct = sorted(numbers, key=lambda name: (numbers[name] if all_numbers else 0, name))
    index = {name: number for number, name in enumerate(distinct)}
    cluster = np.array([index[name] for name in classes])
    in_order = x[np.argsort(cluster, kind="stable")]
    points = tuple(np.split(in_order, np.cumsum(np.bincount(cluster))[:-1]))
    return Clusters(points, tuple(map(one_line, distinct)), notes, warnings)


def _with_header(path: Path, setting: LabelledTable) -> Table:
    """Read the table; a label column called by name means that there is a header."""
    if any(isinstance(column, str) for column in (setting.label_column, *(setting.columns or ()))):
        return read_csv(path, header=True)
    first = read_csv(path, header=False)
    assert isinstance(setting.label_column, int)
    label = setting.label_column % first.n_columns
    header = any(as_number(cell) is None for index, cell in enumerate(first.rows[0]) if index != label)
    return read_csv(path, header=header)


def _column(table: Table, wanted: str | int, *inside: str | int) -> int:
    """Return the index of a column given by name or index."""
    if isinstance(wanted, int):
        if not -table.n_columns <= wanted < table.n_columns:
            raise Fault(f"{table.file} has columns 0 to {table.n_columns - 1}, not {wanted}", inside)
        return wanted % table.n_columns
    header = table.header or []
    if wanted not in header:
        there = listed(map(shown, header)) + (_ONE_COLUMN if len(header) == 1 else "")
        what = f"{table.file} has no column {shown(wanted)}{suggestion(wanted, header)}; it has: {there}"
        raise Fault(what, inside)
    return header.index(wanted)


def _feature_columns(table: Table, setting: LabelledTable, label: int) -> list[int]:
    if setting.columns is None:
        columns = [column for column in range(table.n_columns) if column != label]
        if not columns:
            raise Fault(f"{table.file} has no column besides {table.column_name(label)}{_ONE_COLUMN}")
        return columns
    columns = [_column(table, wanted, "columns", index) for index, wanted in enumerate(setting.columns)]
    if label in columns:
        raise Fault("the label column cannot be a coordinate as well", ("columns", columns.index(label)))
    if len(set(columns)) < len(columns):
        raise Fault("the same column twice", ("columns",))
    return columns


def _feature(table: Table, column: int, label: int) -> Array:
    """Return a column's numbers; one that is not a column of numbers is better left out."""
    first = table.rows[0]
    if as_number(first[column]) is None and not is_missing(first[column]):
        names = table.header or [str(i) for i in range(table.n_columns)]
        numeric = [names[i] for i, cell in enumerate(first) if i != label and as_number(cell) is not None]
        raise Fault(
            f"{table.file} {table.column_name(column)} does not hold numbers ({shown(first[column])} in line "
            f"{table.lines[0]}); list the columns to use, columns: [{listed(numeric)}]"
        )
    return table.numbers(column)


def _transformed(
    x: Array, setting: LabelledTable, columns: list[str]
) -> tuple[Array, dict[str, str | float], tuple[str, ...]]:
    """Return the points after standardizing, PCA and scale, and what there is to say of it."""
    notes: dict[str, str | float] = {}
    warnings: tuple[str, ...] = ()
    if setting.standardize:
        x, constant = standardized(x)
        if constant.any():
            names = listed(name for name, flat in zip(columns, constant, strict=True) if flat)
            warnings = (f"constant after reading, and 0 after standardizing: {names}",)
    if setting.reduce is not None:
        most = min(x.shape)
        if setting.reduce.to > most:
            what = f"{x.shape[0]} rows of {x.shape[1]} columns cannot be reduced to {setting.reduce.to}"
            raise Fault(f"{what}; at most {most}", ("reduce", "to"))
        x, explained = principal_components(x, setting.reduce.to)
        notes["pca explained variance"] = explained
    return x * setting.scale, notes, warnings


def standardized(x: Array) -> tuple[Array, BoolArray]:
    """Shift and scale each column of x (N, F) to mean 0 and (population) standard deviation 1.

    Returns the (N, F) result, in which a constant column is 0, and which of the F columns are constant.
    """
    # Dividing by the largest entry first keeps squares of huge and tiny columns within range.
    largest = np.abs(x).max(axis=0)
    x = x / np.where(largest > 0, largest, 1.0)
    constant = np.asarray((x == x[0]).all(axis=0))
    centred = x - x.mean(axis=0)
    centred[:, constant] = 0.0
    spread = centred.std(axis=0)
    return centred / np.where(spread > 0, spread, 1.0), constant


def principal_components(x: Array, to: int) -> tuple[Array, float]:
    """Project the centred points x (N, F) on their first ``to`` principal directions, at most min(N, F).

    The sign of a direction is such that its loading of largest magnitude is positive, so that the result does
    not depend on the linear algebra library. Returns the (N, to) projections, and the share of the variance they hold.
    """
    largest = float(np.abs(x).max()) or 1.0
    x = x / largest
    centred = x - x.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    lead = np.abs(directions).argmax(axis=1)
    directions *= np.where(directions[np.arange(len(lead)), lead] < 0, -1.0, 1.0)[:, None]
    total = float((singular**2).sum())
    explained = float((singular[:to] ** 2).sum()) / total if total > 0 else 1.0
    return (centred @ directions[:to].T) * largest, explained
