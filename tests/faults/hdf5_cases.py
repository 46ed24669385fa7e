"""Run files that are damaged byte by byte, or made to mislead."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from .mutation import damaged
from .samples import Samples

COMMANDS = (
    ("report", "{file}"),
    ("report", "{file}"),
    ("report", "{file}", "--json"),
    ("report", "{file}", "--csv"),
    ("report", "{file}", "{good}", "--csv"),
    ("report", "{good}", "{file}"),
    ("report", "{file}", "{good}", "--json", "--strict"),
    ("events", "{file}"),
    ("trajectory", "{file}"),
    ("run", "separated.yaml", "-o", "{file}"),
)
#: Forms of the report that take longer, and are drawn less often.
SLOW_COMMANDS = (
    *(("report", "{file}", "--html", "page.html"),) * 6,
    ("report", "{file}", "--figures", "figures"),
    ("report", "{good}", "{file}", "--figures", "figures"),
)
SLOW = 0.04

_TEXTS = (
    *(
        "",
        "\x1b[31mred\x1b]0;title\x07",
        "a\nb",
        "\u202eevil",
        "x" * 100_000,
        "é",
        "identity",
        "nan",
        "\u0085",
        "\x9b31m",
    ),
    *("flow: separated", "complete", "running", "failed", "general", "collapsed", "printed"),
)
_BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
_CONFIGS = (
    *(
        "",
        "~",
        "[1, 2]",
        "a: [",
        "\x1b[31m",
        "a: !!python/object/apply:os.system [x]",
        "[" * 5000,
        "{a: " * 3000,
        _BOMB,
    ),
    *(
        "integrator: 3\nclusters: x",
        "integrator: {rtol: x, atol: [], s_end: 1e999}",
        "a: 2001-01-01\n? [b]\n: c",
        "é: \u202e",
    ),
    *(
        "x: 12:30:45\ny: 2001-01-01 00:00:00\n1: 2\nnull: 3",
        "a: " + "9" * 10_000,
        "a: .nan",
        "k: &a {<<: *a}",
        "- " * 3000,
    ),
    "\n".join(f"k{i}: {i}" for i in range(20_000)),
)


def make(chance: Random, folder: Path, samples: Samples) -> list[str]:
    """Write a hostile run file into a folder and return the command that reads it."""
    source = chance.choice(samples.runs)
    path = folder / "hostile.h5"
    path.write_bytes(source.read_bytes())
    if chance.random() < 0.5:
        path.write_bytes(damaged(path.read_bytes(), chance))
    else:
        with h5py.File(path, "r+") as file:
            for _ in range(chance.choice((1, 1, 2))):
                mislead(file, chance)
    good = samples.copy("run-separated.h5", folder)
    samples.copy("separated.yaml", folder)
    return [
        part.format(file=path.name, good=good.name)
        for part in chance.choice(SLOW_COMMANDS if chance.random() < SLOW else COMMANDS)
    ]


def mislead(file: h5py.File, chance: Random) -> None:
    """Change something in a run file through the library, so that every check sum is right."""
    places: list[str] = []
    file.visit(places.append)
    place = chance.choice(places)
    kind = chance.randrange(9)
    if kind == 0:
        del file[place]
    elif kind == 1:
        _relink(file, place, chance)
    elif kind in (2, 3):
        _other_attribute(file if chance.random() < 0.4 else file[place], chance)
    elif kind == 4:
        _other_config(file, chance.choice(_CONFIGS))
    elif kind == 5 and isinstance(file[place], h5py.Group):
        file[place].create_group(chance.choice(_TEXTS[1:]).replace("/", "").replace("\0", "")[:60])
    elif kind == 6:
        if "certificates" in file and chance.random() < 0.5:
            del file["certificates"]
            file.create_group("certificates")
        file.attrs["status"] = chance.choice(("running", "failed", "interrupted"))
    elif isinstance(file[place], h5py.Dataset):
        _other_data(file, place, chance)


def _relink(file: h5py.File, place: str, chance: Random) -> None:
    """Put a link in the place of a group or dataset."""
    shape = getattr(file[place], "shape", ()) or (2,)
    del file[place]
    kind = chance.randrange(5)
    if kind == 0:
        file[place] = h5py.ExternalLink("run-separated.h5", place)
    elif kind == 1:
        file[place] = h5py.SoftLink(f"/{place}")
    elif kind == 2:
        file[place] = h5py.SoftLink("/data/x")
    elif kind == 3:
        file.create_dataset(place, shape, "f8", external=[("/etc/passwd", 0, 8 * int(np.prod(shape)))])
    else:
        layout = h5py.VirtualLayout(shape, "f8")
        layout[...] = h5py.VirtualSource("run-separated.h5", place, shape)
        file.create_virtual_dataset(place, layout)


def _other_attribute(node: Any, chance: Random) -> None:
    names = list(node.attrs) or ["new"]
    name = chance.choice(names)
    value: Any = chance.choice(
        [
            *_TEXTS,
            0,
            -1,
            2**62,
            1.5,
            np.nan,
            np.inf,
            True,
            np.arange(3),
            np.zeros((2, 2)),
            b"\xff\xfe",
            h5py.Empty("f8"),
        ]
    )
    if isinstance(value, str) and len(value) > 60_000:
        value = value[:60_000]
    try:
        node.attrs[name] = value
    except (RuntimeError, OSError, ValueError, TypeError, KeyError):  # an attribute that the library guards
        node.attrs["new"] = 1


def _other_config(file: h5py.File, text: str) -> None:
    encoded = text.encode(errors="surrogatepass")
    del file["config"]
    dtype = h5py.string_dtype("utf-8", max(1, len(encoded)))
    file.create_dataset("config", data=np.array(encoded, dtype), dtype=dtype)
    file["config"].attrs["sha256"] = hashlib.sha256(encoded).hexdigest()


def _other_data(file: h5py.File, place: str, chance: Random) -> None:
    """Replace a dataset by one of another type or shape, or of values that cannot be."""
    old = file[place]
    attributes = {name: old.attrs[name] for name in ("description", "sha256") if name in old.attrs}
    values, dtype, shape = old[()], old.dtype, old.shape
    kind = chance.randrange(6)
    if kind == 0:
        shape = chance.choice(
            ((), (0,), (1,), (3,), shape[:-1], (*shape, 1), tuple(n + 1 for n in shape), shape[::-1])
        )
        values = np.zeros(shape, dtype)
    elif kind == 1:
        dtype = np.dtype(chance.choice(("f4", ">f8", "i8", "u1", "S5", "c16", "?", "f2", [("a", "f8")])))
        values = np.zeros(shape, dtype)
    elif kind == 2 and shape:
        del file[place]
        huge = tuple(chance.choice((n, 10**6, 10**9)) for n in shape)
        file.create_dataset(
            place,
            huge,
            dtype,
            maxshape=tuple(max(n, 64) for n in huge),
            chunks=tuple(min(max(n, 1), 64) for n in huge),
            compression="gzip",
        )
        return
    elif dtype.kind in "fiu" and np.size(values):
        values = np.array(values)
        floats = (np.nan, np.inf, -1, 1e300, 1e-300, -1e308, 10**6)
        odd = {"f": floats, "i": (-1, 100, -100, 9), "u": (100, 9)}[dtype.kind]
        where = chance.randrange(values.size) if chance.random() < 0.7 else slice(None)
        values.reshape(-1)[where] = chance.choice(odd)
        if chance.random() < 0.2:
            values = values[::-1]
    del file[place]
    file.create_dataset(place, data=values, dtype=dtype if dtype.metadata else None)
    for name, value in attributes.items():
        file[place].attrs[name] = value
