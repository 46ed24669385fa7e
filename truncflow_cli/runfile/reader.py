"""Reading a run file, whatever is in it: the arrays by their paths, or one sentence on what is wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
from numpy.typing import NDArray

from truncflow_cli.config.errors import shown
from truncflow_cli.errors import UserError, one_line
from truncflow_cli.events import Kind
from truncflow_cli.run_data import ALL, Certificate, Run, Source, Verdict
from truncflow_cli.runfile import checks, schema

#: What a terminal would obey, and no configuration holds.
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: A run file has a handful of certificates; many more are not ours.
MAX_CERTIFICATES = 1000


def open_run(path: Path | str) -> Run:
    """Open a run file for reading.

    Shapes, types and attributes are checked now, arrays when they are first asked for.

    Raises:
        UserError: it is missing, not a run file, of another version, damaged, or not to be trusted.
    """
    path = Path(path)
    file = checks.open_to_read(path)
    try:
        with checks.readable(path, "its structure"):
            attrs = checks.root_attributes(path, file)
            source = FileSource(path, file, attrs["flow"])
            notes = source.facts("notes")
            notes.pop("warnings", None)
            warnings = str(file["notes"].attrs.get("warnings", "")).splitlines()  # a warning a line
            return Run(
                path,
                attrs,
                source.config(),
                source.sizes,
                source,
                counters={name: int(count) for name, count in source.facts("counters").items()},
                notes=notes,
                warnings=tuple(map(one_line, warnings)),
            )
    except BaseException:
        file.close()
        raise


class FileSource(Source):
    """An open run file: the datasets by their paths, checked against the layout.

    Attributes:
        sizes: the length for each letter of ``schema.AXES``.
    """

    def __init__(self, path: Path, file: h5py.File, flow: str) -> None:
        """Find the datasets and check their types and shapes.

        Raises:
            UserError: something is missing, or does not fit.
        """
        self._path, self._file = path, file
        self._datasets = {
            item.path: (item, checks.child(path, file, item.path, h5py.Dataset))
            for item in schema.items(flow)
            if item.required or item.path in file
        }
        self.sizes = self._checked_sizes()

    def read(self, path: str, rows: slice = ALL) -> NDArray[Any] | None:
        """Return some rows of a dataset; None if the run has none at that path.

        Raises:
            UserError: it cannot be read, or holds what cannot be.
        """
        if path not in self._datasets:
            return None
        item, dataset = self._datasets[path]
        ascending = path in schema.SCALE_PATHS.values()
        start = rows.start or 0
        before = 1 if ascending and start > 0 else 0  # the row that those asked for may not fall below
        with checks.readable(self._path, path):
            values = np.asarray(dataset[start - before : rows.stop])
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise self._damaged(f"{path} holds numbers that are not finite")
        if ascending and not np.all(np.diff(values) >= 0):
            raise self._damaged(f"{path} is not in ascending order")
        if item.bounds is not None:
            self._check_indices(item, item.bounds, values, rows)
        return values[before:]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def certificates(self) -> Mapping[str, Certificate]:
        """Return the certificates by name, in the order in which they were written.

        Raises:
            UserError: they are damaged.
        """
        with checks.readable(self._path, "certificates"):
            parent = checks.child(self._path, self._file, "certificates", h5py.Group)
            if len(parent) > MAX_CERTIFICATES:
                raise UserError(f"{self._path}: {len(parent)} certificates; at most {MAX_CERTIFICATES}")
            return {one_line(name): self._read_certificate(parent, name) for name in parent}

    def facts(self, place: str) -> dict[str, str | float]:
        """Return the attributes of a group.

        Raises:
            UserError: one of them is neither a text nor a number.
        """
        values = checks.attributes(checks.child(self._path, self._file, place, h5py.Group))
        for name, value in values.items():
            if not isinstance(value, str | int | float):
                found = type(value).__name__
                raise UserError(
                    f"{self._path}: attribute {name} of {place} is {found}; it has to be text or number"
                )
        return values

    def config(self) -> str:
        """Return the resolved config.

        Raises:
            UserError: it is not what was written.
        """
        dataset = checks.child(self._path, self._file, schema.CONFIG_PATH, h5py.Dataset)
        string = h5py.check_string_dtype(dataset.dtype)
        if dataset.shape != () or string is None or string.length is None:
            raise UserError(f"{self._path}: config is not one string of fixed length")
        checks.check_unpacked(self._path, [dataset])
        encoded = bytes(dataset[()])
        if hashlib.sha256(encoded).hexdigest() != dataset.attrs["sha256"]:
            raise self._damaged("config is not what was written")
        text = encoded.decode()
        if (bad := _CONTROL_CHARACTER.search(text)) is not None:
            raise UserError(f"{self._path}: config holds the character {bad.group()}, which no text has")
        return text

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self._path}: damaged run file, {what}")

    def _checked_sizes(self) -> dict[str, int]:
        """Check types and shapes against the layout, and return the lengths by their letters."""
        layers = checks.child(self._path, self._file, "layer", h5py.Dataset)
        sizes = {"L": layers.size or 0}
        for item, dataset in self._datasets.values():
            self._check_type(item, dataset)
            if dataset.ndim != len(item.axes):
                raise UserError(
                    f"{self._path}: {item.path} has {dataset.ndim} axes; the layout has {len(item.axes)}"
                )
            for axis, length in zip(item.axes, dataset.shape or (), strict=True):
                sizes.setdefault(schema.AXES[axis][0], int(length))
            if dataset.shape != item.shape(sizes):
                raise UserError(
                    f"{self._path}: {item.path} has shape {dataset.shape}, not {item.shape(sizes)}"
                )
        checks.check_unpacked(self._path, [layers, *(dataset for _, dataset in self._datasets.values())])
        for letter, what in (("T", "saved time"), ("C", "cluster"), ("Q", "dimension"), ("L", "layer")):
            if sizes[letter] == 0:
                raise UserError(f"{self._path}: not a whole run file, it has no {what}")
        return sizes

    def _check_type(self, item: schema.Item, dataset: h5py.Dataset) -> None:
        if item.dtype == "kind":
            if h5py.check_enum_dtype(dataset.dtype) != schema.KIND_NAMES:
                raise UserError(f"{self._path}: {item.path} is not the enum {', '.join(schema.KIND_NAMES)}")
        elif dataset.dtype.newbyteorder("=") != item.numpy_type or dataset.dtype.metadata:
            raise UserError(
                f"{self._path}: {item.path} has type {dataset.dtype}; it has to be {item.numpy_type}"
            )

    def _check_indices(
        self, item: schema.Item, bounds: tuple[int, int | str], indices: NDArray[Any], rows: slice
    ) -> None:
        low, end = bounds
        high = end if isinstance(end, int) else self.sizes[end]
        if not len(indices):
            return
        if not (low <= indices.min() and indices.max() < high):
            raise self._damaged(f"{item.path} is not between {low} and {high - 1}")
        if item.path in schema.CROSSING_INDICES and (unknown := indices < 0).any():
            kinds = self.read("events/kind", rows)
            assert kinds is not None
            if (kinds[unknown] <= Kind.SEPARATION_REGAINED).any():  # of a point through a surface
                raise self._damaged(f"{item.path} is -1 where a point crosses a surface")

    def _read_certificate(self, parent: h5py.Group, name: str) -> Certificate:
        place = f"certificates/{name}"
        group = checks.child(self._path, parent, name, h5py.Group)
        facts = {key: checks.attribute(group, key) for key in schema.CERTIFICATE_ATTRIBUTES}
        for key, value in facts.items():
            fits = isinstance(value, float if key in ("value", "bound", "margin") else str)
            if not fits or (key == "verdict" and value not in get_args(Verdict)):
                raise UserError(f"{self._path}: {place} has {key} = {shown(value)}")
        datasets = {key: checks.child(self._path, group, key, h5py.Dataset) for key in group if key != "s"}
        for key, dataset in datasets.items():
            if dataset.shape != (self.sizes["T"],) or dataset.dtype.kind != "f":
                raise UserError(f"{self._path}: {place}/{key} is not a number for each saved time")
        checks.check_unpacked(self._path, list(datasets.values()))
        series = {one_line(key): np.asarray(dataset[()], dtype=float) for key, dataset in datasets.items()}
        return Certificate(name=one_line(name), **facts, series=series)
