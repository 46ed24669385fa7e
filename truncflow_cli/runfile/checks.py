"""Taking things out of an HDF5 file that may come from anywhere: damaged, hostile, or not a run file at all.

Only hard links are followed, nothing outside the file is read, and nothing is unpacked that is far larger
than the file. Whatever is not as the layout says is a ``UserError`` that names the file, the place and what
is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from h5py import h5a, h5t

from truncflow_cli.config.errors import shown
from truncflow_cli.errors import UserError, one_line
from truncflow_cli.flows.registry import FLOWS
from truncflow_cli.runfile import schema
from truncflow_cli.runfile.schema import Item

#: A file may unpack to this many bytes, or to so many times its own size if that is more.
UNPACKED_BYTES = 1 << 28
UNPACKED_RATIO = 8

#: A run file has a handful of certificates; many more are not ours.
MAX_CERTIFICATES = 1000


Kind = TypeVar("Kind", h5py.Group, h5py.Dataset)

#: Texts as this program writes them.
_TEXT = h5py.string_dtype()


@contextmanager
def readable(path: Path, place: str) -> Iterator[None]:
    """Turn whatever h5py raises on damaged structures inside the block into a sentence.

    h5py has no exception type of its own: depending on the damage it raises OSError, KeyError, RuntimeError,
    ValueError, TypeError, UnicodeDecodeError, MemoryError and others.

    Raises:
        UserError: in their place.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).partition("\n")[0]
        raise UserError(f"{path}: damaged run file, {place} cannot be read ({reason})") from error


def child(path: Path, file: h5py.Group, place: str, kind: type[Kind], inside: str = "") -> Kind:
    """Return the group or dataset at a place, reached by hard links only.

    Args:
        path: the file, for messages.
        file: the file, or a group in it.
        place: where to look.
        kind: what has to be there.
        inside: the place of that group, for messages.

    Raises:
        UserError: it is missing, is something else, or lies outside the file.
    """
    node: h5py.Group | h5py.Dataset = file
    parts = place.split("/")
    for depth, name in enumerate(parts):
        link = node.get(name, getlink=True) if isinstance(node, h5py.Group) else None
        here = inside + "/".join(parts[: depth + 1])
        if link is None:
            raise UserError(f"{path}: not a whole run file, {here} is missing")
        if not isinstance(link, h5py.HardLink):
            raise UserError(f"{path}: {here} is a link to elsewhere; a run file holds its own data")
        node = node[name]
    if not isinstance(node, kind):
        raise UserError(f"{path}: {inside}{place} is not a {kind.__name__.lower()}")
    if isinstance(node, h5py.Dataset) and (node.is_virtual or node.external):
        raise UserError(
            f"{path}: {inside}{place} takes its data from other files; a run file holds its own data"
        )
    return node


def attributes(path: Path, file: h5py.File) -> dict[str, Any]:
    """Return the root attributes as plain Python values, after checking that this program can read the file.

    Raises:
        UserError: not a run file, of another version, or an attribute is missing or of the wrong type.
    """
    every = {one_line(name): attribute(file, name) for name in file.attrs}
    # Others may have left attributes of their own; those that are not plain values mean nothing here.
    values = {name: value for name, value in every.items() if isinstance(value, str | int | float)}
    if str(values.get("format")) != schema.FORMAT:
        raise UserError(f"{path}: HDF5, but not a run file (attribute format is not {schema.FORMAT!r})")
    version = values.get("format_version")
    if str(version) != str(schema.FORMAT_VERSION):
        raise UserError(
            f"{path}: format_version is {shown(version)}; this program reads version {schema.FORMAT_VERSION}"
        )
    for name, (kind, _) in schema.ATTRIBUTES.items():
        if not isinstance(values.get(name), kind):
            raise UserError(
                f"{path}: attribute {name} is {shown(values.get(name))}; it has to be {kind.__name__}"
            )
    for name, allowed in (
        ("flow", tuple(FLOWS)),
        ("equations", schema.EQUATIONS),
        ("status", schema.STATUSES),
    ):
        if values[name] not in allowed:
            raise UserError(
                f"{path}: attribute {name} is {shown(values[name])}; allowed: {', '.join(allowed)}"
            )
    if not isinstance(values.get("switched_at", 0.0), float):
        raise UserError(
            f"{path}: attribute switched_at is {shown(values['switched_at'])}; it has to be float"
        )
    return values


def attribute(node: h5py.Group, name: str) -> Any:
    """Return an attribute as a plain Python value, one text or number by HDF5's own calls: they take less time."""
    found = h5a.open(node.id, name.encode())
    kind = found.get_type()
    scalar = found.shape == ()
    if scalar and isinstance(kind, h5t.TypeStringID) and _is_utf8_of_any_length(kind):
        text = np.empty((), dtype=_TEXT)
        found.read(text, mtype=h5t.py_create(_TEXT))
        return plain((text.item() or b"").decode("utf-8", "surrogateescape"))
    if scalar and kind == h5t.NATIVE_DOUBLE:
        number = np.empty((), dtype=np.float64)
        found.read(number, mtype=kind)
        return number.item()
    return plain(node.attrs[name])


def _is_utf8_of_any_length(kind: h5t.TypeStringID) -> bool:
    return kind.is_variable_str() and kind.get_cset() == h5t.CSET_UTF8


def plain(value: Any) -> Any:
    """Return an attribute's value as Python's own type, texts in one line that can be shown; arrays as they are."""
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str):
        return one_line(value)
    return value.item() if isinstance(value, np.generic) else value


def texts_and_numbers(path: Path, group: h5py.Group) -> dict[str, str | int | float]:
    """Return the attributes of a group as plain Python values.

    Raises:
        UserError: one of them is neither a text nor a number.
    """
    values = {one_line(name): attribute(group, name) for name in group.attrs}
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            raise UserError(
                f"{path}: attribute {name} of {group.name[1:]} is {type(value).__name__}; it has to be text or number"
            )
    return values


def dataset_sizes(
    path: Path, datasets: Mapping[Item, h5py.Dataset], known: Mapping[str, int]
) -> dict[str, int]:
    """Check types and shapes against the layout, and return the length for each letter of ``schema.AXES``.

    Args:
        path: the file.
        datasets: what has been found in it.
        known: lengths that are known already.

    Raises:
        UserError: a dataset has another type, or shapes do not fit together, or unpacking would fill memory.
    """
    sizes = dict(known)
    for item, dataset in datasets.items():
        _check_type(path, item, dataset)
        if dataset.ndim != len(item.axes):
            raise UserError(f"{path}: {item.path} has {dataset.ndim} axes; the layout has {len(item.axes)}")
        for axis, length in zip(item.axes, dataset.shape or (), strict=True):
            sizes.setdefault(schema.AXES[axis][0], int(length))
        if dataset.shape != item.shape(sizes):
            raise UserError(f"{path}: {item.path} has shape {dataset.shape}, not {item.shape(sizes)}")
    check_unpacked(path, list(datasets.values()))
    return sizes


def check_unpacked(path: Path, datasets: list[h5py.Dataset]) -> None:
    """Refuse data that unpack to far more than the file holds.

    Raises:
        UserError: they do.
    """
    allowed = max(UNPACKED_BYTES, UNPACKED_RATIO * path.stat().st_size)
    pieces = [math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize for dataset in datasets]
    total = sum((dataset.size or 0) * dataset.dtype.itemsize for dataset in datasets)
    if max(total, *pieces, 0) > allowed:
        raise UserError(
            f"{path}: unpacks to {total:.3g} bytes or more, {allowed:.3g} are allowed for a file of its size "
            "(`h5repack -f NONE` unpacks a good one)"
        )


def _check_type(path: Path, item: Item, dataset: h5py.Dataset) -> None:
    if item.dtype == "kind":
        if h5py.check_enum_dtype(dataset.dtype) != schema.KIND_NAMES:
            raise UserError(f"{path}: {item.path} is not the enum {', '.join(schema.KIND_NAMES)}")
    elif dataset.dtype.newbyteorder("=") != np.dtype(item.dtype) or dataset.dtype.metadata:
        raise UserError(f"{path}: {item.path} has type {dataset.dtype}; it has to be {np.dtype(item.dtype)}")
