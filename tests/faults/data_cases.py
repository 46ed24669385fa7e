"""Data files that are damaged, or hold what is not a set of points."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from .mutation import WORDS, damaged
from .samples import READERS, TABLE, Samples

_FILES = (
    "points.csv",
    "points.npy",
    "points.npz:points",
    "packed.npz",
    "points.h5:group/points",
    "modern.h5:points",
)
_COMMANDS = (
    ("check", "{file}"),
    ("run", "{file}", "-o", "run.h5", "--quiet"),
    ("run", "{file}", "-o", "run.h5", "--dry-run"),
)


def make(chance: Random, folder: Path, samples: Samples) -> list[str]:
    """Write a data file and the configuration that names it into a folder, and return a command."""
    reader = chance.choice(sorted(READERS))
    if reader == "table":
        name = "table.csv"
        (folder / name).write_bytes(
            _table(chance) if chance.random() < 0.6 else damaged(TABLE.encode(), chance, WORDS)
        )
    elif chance.random() < 0.45:
        name = _odd_array(chance, folder)
    else:
        name = chance.choice(_FILES)
        path = samples.copy(name.partition(":")[0], folder)
        path.write_bytes(damaged(path.read_bytes(), chance, WORDS if path.suffix == ".csv" else ()))
    config = folder / "config.yaml"
    config.write_text(READERS[reader].replace("FILE", json.dumps(name)))
    return [part.format(file=config.name) for part in chance.choice(_COMMANDS)]


def _cell(chance: Random) -> str:
    return chance.choice(
        [
            *(
                "",
                "NA",
                "nan",
                "inf",
                "-",
                "1e400",
                "1e300",
                "1e-300",
                "0",
                "1,5",
                "1;5",
                "1 5",
                "0x10",
                "1_0",
                "\u00bd",
            ),
            *(
                "٣",
                "1e99",
                "-1e101",
                "'1'",
                '"1"',
                "TRUE",
                "2001-01-01",
                "\x1b[31m",
                "\u202e",
                "#",
                "x" * 300,
                "9" * 400,
            ),
        ]
    )


def _table(chance: Random) -> bytes:
    """Return a table with odd cells, rows, separators, quotes, headers or ends of lines."""
    rows = list(csv.reader(io.StringIO(TABLE)))
    for _ in range(chance.choice((0, 1, 1, 2))):
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = _cell(chance)
    for _ in range(chance.choice((0, 0, 1))):
        row = chance.choice(rows)
        row.append(_cell(chance)) if chance.random() < 0.5 else row.pop()
    if chance.random() < 0.15:
        rows = rows[: chance.randrange(3)]
    if chance.random() < 0.1:
        rows = [row * chance.choice((2, 200)) for row in rows]
    text = io.StringIO()
    quoting = chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC))
    ends = chance.choice(("\n", "\n", "\r\n", "\r", "\n\n"))
    csv.writer(text, delimiter=chance.choice(",,,;\t| "), quoting=quoting, lineterminator=ends).writerows(
        rows
    )
    return text.getvalue().encode(chance.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32")))


def _arrays(chance: Random) -> Any:
    """Return what is an array and, mostly, not a set of points."""
    points = np.array([[2.0, 0.0], [2.5, 0.25]])
    return chance.choice(
        [
            *(
                points.astype(kind)
                for kind in (
                    "f2",
                    "f4",
                    ">f8",
                    "i1",
                    "u8",
                    "?",
                    "c16",
                    "S4",
                    "U4",
                    "g",
                    "F",
                    "m8[s]",
                    "M8[s]",
                )
            ),
            *(points * factor for factor in (1e300, 1e-300, 1e99, 1e101, 0.0, 5e-324)),
            *(np.full((2, 2), value) for value in (np.nan, np.inf)),
            *(points.reshape(shape) for shape in ((4,), (4, 1), (1, 4), (1, 2, 2), (2, 2, 1, 1, 1))),
            *(np.zeros(shape) for shape in ((0, 2), (2, 0), (), (1, 1), (2, 3), (3000, 2), (2, 300))),
            np.array([[1, {}], [2, 3]], dtype=object),
            np.zeros((2, 2), dtype=[("x", "f8"), ("y", "i4")]),
            np.zeros((2, 2), dtype="V8"),
            np.array([[2**63 - 1, -(2**63)], [0, 1]], dtype="i8"),
            np.array([[2**64 - 1, 0], [0, 1]], dtype="u8"),
            np.repeat(points[:1], 50, axis=0),
            np.asfortranarray(points),
        ]
    )


def _odd_array(chance: Random, folder: Path) -> str:
    """Write an array that is not what is wanted, in one of the formats, and return its name."""
    array = _arrays(chance)
    kind = chance.choice(
        ("npy", "npz", "csv", "h5", "bomb.npz", "bomb.h5", "links.h5", "lying.npy", "names.npz")
    )
    path = folder / f"odd.{kind}"
    if kind == "npy":
        np.save(path, array, allow_pickle=True)
    elif kind == "npz":
        np.savez(path, array)
    elif kind == "csv":
        path.write_text("\n".join(",".join(map(str, np.ravel(row))) for row in np.atleast_1d(array)))
    elif kind == "bomb.npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("points.npy", _header((chance.choice((10**6, 3 * 10**7)), 2)) + bytes(10**6))
    elif kind == "bomb.h5":
        with h5py.File(path, "w") as file:
            shape = (chance.choice((10**7, 10**9, 10**12)), 2)
            file.create_dataset(
                "points", shape, "f8", chunks=(chance.choice((10, 10**6)), 2), compression="gzip"
            )
    elif kind == "links.h5":
        _links(path, chance)
    elif kind == "lying.npy":
        path.write_bytes(_header(chance.choice(((10**12, 2), (-1, 2), (2**62, 4), (2, 2)))) + bytes(40))
    elif kind == "names.npz":
        with zipfile.ZipFile(path, "w") as archive:
            for name in chance.sample(["../x.npy", "\x1b[31m.npy", "a.txt", "a.npy", " ", "/etc/x.npy"], 2):
                archive.writestr(name, _header((2, 2)) + bytes(32))
    else:
        _write_h5(path, array)
    return path.name + chance.choice(("", "", ":points", ":arr_0", ":\x1b", ":a/b/c", ":points/"))


def _header(shape: tuple[int, ...]) -> bytes:
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(text, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return text.getvalue()


def _write_h5(path: Path, array: Any) -> None:
    with h5py.File(path, "w") as file:
        try:
            file["points"] = array
        except (TypeError, ValueError):
            file["points"] = "text"


def _links(path: Path, chance: Random) -> None:
    with h5py.File(path, "w") as file:
        kind = chance.randrange(5)
        if kind == 0:
            file["points"] = h5py.ExternalLink("points.h5", "points")
        elif kind == 1:
            file["points"] = h5py.SoftLink("/points")
        elif kind == 2:
            file.create_dataset("points", (2, 2), "f8", external=[("/etc/passwd", 0, 32)])
        elif kind == 3:
            layout = h5py.VirtualLayout((2, 2), "f8")
            layout[...] = h5py.VirtualSource("points.h5", "points", (2, 2))
            file.create_virtual_dataset("points", layout)
        else:  # a group that holds itself
            group = file.create_group("group")
            group["points"] = group
            group["group"] = file["/"]
