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

from truncflow_cli.certificate import Certificate, Verdict
from truncflow_cli.config.errors import shown
from truncflow_cli.errors import UserError, one_line
from truncflow_cli.events import Kind
from truncflow_cli.run_data import Run
from truncflow_cli.runfile import checks, schema
from truncflow_cli.runfile.heap_check import has_sound_heaps

#: What a terminal would obey, and no configuration holds.
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_ALL = slice(None)


def open_run(path: Path | str) -> Run:
    """Open a run file for reading.

    Shapes, types and attributes are checked now, arrays when they are first asked for.

    Raises:
        UserError: it is missing, not a run file, of another version, damaged, or not to be trusted.
    """
    path = Path(path)
    file = _open(path)
    try:
        with checks.readable(path, "its structure"):
            attrs = checks.attributes(path, file)
            source = FileSource(path, file, attrs["flow"])
            notes = source.facts("notes")
            warnings = tuple(
                one_line(line) for line in str(file["notes"].attrs.get("warnings", "")).splitlines()
            )
            return Run(
                path,
                attrs,
                source.config(),
                source.sizes,
                source,
                counters={name: int(count) for name, count in source.facts("counters").items()},
                notes={name: note for name, note in notes.items() if name != "warnings"},
                warnings=warnings,
            )
    except BaseException:
        file.close()
        raise


class FileSource:
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
        self.sizes = self._check_sizes()

    def read(self, path: str, rows: slice = _ALL) -> NDArray[Any] | None:
        """Return some rows of a dataset; None if the run has none at that path.

        Raises:
            UserError: it cannot be read, or holds what cannot be.
        """
        if path not in self._datasets:
            return None
        item, dataset = self._datasets[path]
        ascending = path in schema.SCALE_PATHS.values()
        start = rows.start or 0
        first = (
            max(0, start - 1) if ascending else start
        )  # from the row before on, which they may not fall below
        with checks.readable(self._path, path):
            values = np.asarray(dataset[first : rows.stop])
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(f"{self._path}: damaged run file, {path} holds numbers that are not finite")
        if ascending and not np.all(np.diff(values) >= 0):
            raise UserError(f"{self._path}: damaged run file, {path} is not in ascending order")
        if item.bounds is not None:
            self._check_indices(item, values, rows)
        return values[start - first :]

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
            if len(parent) > checks.MAX_CERTIFICATES:
                raise UserError(
                    f"{self._path}: {len(parent)} certificates; at most {checks.MAX_CERTIFICATES}"
                )
            return {one_line(name): self._read_certificate(parent, name) for name in parent}

    def facts(self, place: str) -> dict[str, str | float]:
        """Return the attributes of a group.

        Raises:
            UserError: one of them is neither a text nor a number.
        """
        group = checks.child(self._path, self._file, place, h5py.Group)
        return checks.texts_and_numbers(self._path, group)

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
            raise UserError(f"{self._path}: damaged run file, config is not what was written")
        text = encoded.decode()
        if (bad := _CONTROL_CHARACTER.search(text)) is not None:
            raise UserError(f"{self._path}: config holds the character {bad.group()}, which no text has")
        return text

    def _check_sizes(self) -> dict[str, int]:
        layers = checks.child(self._path, self._file, "layer", h5py.Dataset)
        checks.check_unpacked(self._path, [layers])
        sizes = checks.dataset_sizes(self._path, dict(self._datasets.values()), {"L": layers.size or 0})
        if sizes["T"] == 0:
            raise UserError(f"{self._path}: not a whole run file, it has no saved time")
        for letter, what in (("C", "cluster"), ("Q", "dimension"), ("L", "layer")):
            if sizes[letter] == 0:
                raise UserError(f"{self._path}: not a whole run file, it has no {what}")
        return sizes

    def _check_indices(self, item: schema.Item, indices: NDArray[Any], rows: slice) -> None:
        assert item.bounds is not None
        low, end = item.bounds
        high = end if isinstance(end, int) else self.sizes[end]
        if not len(indices):
            return
        if not (low <= indices.min() and indices.max() < high):
            raise UserError(
                f"{self._path}: damaged run file, {item.path} is not between {low} and {high - 1}"
            )
        if item.path in schema.CROSSING_INDICES and (unknown := indices < 0).any():
            kinds = self.read("events/kind", rows)
            assert kinds is not None
            if (kinds[unknown] <= Kind.SEPARATION_REGAINED).any():  # of a point through a surface
                raise UserError(
                    f"{self._path}: damaged run file, {item.path} is -1 where a point crosses a surface"
                )

    def _read_certificate(self, parent: h5py.Group, name: str) -> Certificate:
        place = f"certificates/{name}"
        group = checks.child(self._path, parent, name, h5py.Group, "certificates/")
        attributes = {key: checks.attribute(group, key) for key in schema.CERTIFICATE_ATTRIBUTES}
        for key, value in attributes.items():
            if not isinstance(value, float if key in ("value", "bound", "margin") else str):
                raise UserError(f"{self._path}: {place} has {key} = {shown(value)}")
        if attributes["verdict"] not in get_args(Verdict):
            raise UserError(f"{self._path}: {place} has verdict = {shown(attributes['verdict'])}")
        datasets = {
            key: checks.child(self._path, group, key, h5py.Dataset, f"{place}/")
            for key in group
            if key != "s"
        }
        for key, dataset in datasets.items():
            if dataset.shape != (self.sizes["T"],) or dataset.dtype.kind != "f":
                raise UserError(f"{self._path}: {place}/{key} is not a number for each saved time")
        checks.check_unpacked(self._path, list(datasets.values()))
        series = {one_line(key): np.asarray(dataset[()], dtype=float) for key, dataset in datasets.items()}
        return Certificate(name=one_line(name), **attributes, series=series)


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a file")
    try:
        if not h5py.is_hdf5(path):
            with path.open("rb"):  # tells a file that may not be read from one of another kind
                raise UserError(f"{path}: not an HDF5 file, so not a run file")
        if not has_sound_heaps(path):
            raise UserError(f"{path}: damaged run file, its strings cannot be read")
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        if error.errno is not None and error.strerror:
            raise UserError(f"{path}: {error.strerror.lower()}") from error
        raise UserError(f"{path}: damaged run file ({str(error).partition(chr(10))[0]})") from error
