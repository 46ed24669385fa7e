"""A damaged or malicious run file is refused in one sentence: no traceback, no hang, no file but itself."""

from __future__ import annotations

import random
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from run_file_samples import made_up_chunks, made_up_problem

from truncflow_cli import runfile
from truncflow_cli.errors import UserError
from truncflow_cli.run_data import Certificate
from truncflow_cli.runfile import schema

EVERYTHING = (
    *("attrs", "config", "counters", "notes", "warnings", "certificates", "events"),
    *("x", "cluster", "y", "y_tilde", "s", "loss", "loss_cluster", "energy_balance"),
    *("beta", "R", "B", "W", "truncated_fraction", "n_layers", "n_clusters", "dim"),
)


def write_good(path: Path) -> None:
    problem = made_up_problem()
    with runfile.RunWriter(path, problem, "flow: separated\n" * 20, notes={"margin": 0.1}) as writer:
        for chunk in made_up_chunks(problem):
            writer.append(chunk)
        writer.finish(
            "complete", lambda run: [Certificate("c", "s", "p", "h", "holds", 1.0, 1.0, 0.0, {"D": run.loss})]
        )


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.h5"
    write_good(path)
    return path


@pytest.fixture
def file(good: Path, tmp_path: Path) -> Path:
    return shutil.copy(good, tmp_path / "run.h5")


def read_everything(path: Path) -> None:
    with runfile.open_run(path) as run:
        for name in EVERYTHING:
            getattr(run, name)


def refusal(path: Path) -> str:
    """Return the sentence with which a file is refused."""
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        read_everything(path)
    message = str(caught.value)
    assert time.monotonic() - began < 5.0
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 400
    return message


def replace(file: h5py.File, place: str, **options: object) -> None:
    del file[place]
    file.create_dataset(place, **options)


def damage(path: Path, change: Callable[[h5py.File], object]) -> str:
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        change(file)
    return refusal(path)


def test_not_a_run_file(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    assert "no such file" in refusal(path)
    path.mkdir()
    assert "not a file" in refusal(path)
    path.rmdir()
    path.write_bytes(b"")
    assert "not an HDF5 file" in refusal(path)
    path.write_text("s,loss\n0,1\n")
    assert "not an HDF5 file" in refusal(path)
    with h5py.File(path, "w") as file:
        file["trajectory/s"] = [0.0]
    assert "HDF5, but not a run file" in refusal(path)


def test_a_later_version_is_refused(file: Path) -> None:
    message = damage(file, lambda f: f.attrs.modify("format_version", 2))
    assert "format_version is 2; this program reads version 1" in message


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("status", "exploded", "attribute status is 'exploded'; allowed: running, complete"),
        ("flow", "sideways", "attribute flow is 'sideways'; allowed: separated"),
        ("seed", "seven", "attribute seed is 'seven'; it has to be int"),
        ("format", np.arange(3), "not a run file"),
        ("format_version", np.arange(3), "format_version is"),
    ],
)
def test_wrong_attributes(file: Path, name: str, value: object, sentence: str) -> None:
    def change(f: h5py.File) -> None:
        f.attrs[name] = value

    assert sentence in damage(file, change)


@pytest.mark.parametrize(
    "place",
    ["data/x", "trajectory", "trajectory/R", "events/kind", "config", "counters", "layer", "certificates"],
)
def test_what_is_missing_is_named(file: Path, place: str) -> None:
    def change(f: h5py.File) -> None:
        del f[place]

    assert f"{place} is missing" in damage(file, change)


@pytest.mark.parametrize(
    ("place", "options", "sentence"),
    [
        ("trajectory/loss", {"data": np.zeros(10)}, "trajectory/loss has shape (10,), not (11,)"),
        ("trajectory/loss", {"data": np.zeros((11, 1))}, "trajectory/loss has 2 axes; the layout has 1"),
        ("trajectory/loss", {"data": np.zeros(11, int)}, "type int64; it has to be float64"),
        ("trajectory/loss", {"data": ["a"] * 11}, "it has to be float64"),
        ("data/x", {"data": np.zeros((8, 2))}, "data/cluster has shape (7,), not (8,)"),
        ("data/x", {"data": h5py.Empty("f8")}, "data/x has 0 axes"),
        ("data/cluster", {"data": np.full(7, 3)}, "data/cluster is not between 0 and 2"),
        ("trajectory/s", {"data": np.arange(11.0)[::-1]}, "trajectory/s is not in ascending order"),
        ("trajectory/s", {"data": np.full(11, np.nan)}, "trajectory/s holds numbers that are not finite"),
        (
            "trajectory/loss",
            {"data": np.full(11, -np.inf)},
            "trajectory/loss holds numbers that are not finite",
        ),
        ("data/x", {"data": np.full((7, 2), np.nan)}, "data/x holds numbers that are not finite"),
        ("events/s", {"data": np.full(20, np.inf)}, "events/s holds numbers that are not finite"),
        ("events/s", {"data": np.zeros(20)[::-1] - np.arange(20)}, "events/s is not in ascending order"),
        ("events/point", {"data": np.full(20, -1)}, "events/point is -1 where a point crosses a surface"),
        ("events/kind", {"data": np.zeros(20, "i1")}, "events/kind is not the enum truncate"),
        ("events/point", {"data": np.full(20, 7)}, "events/point is not between -1 and 6"),
        ("events/layer", {"data": np.full(20, -2, "i4")}, "events/layer is not between -1 and 2"),
        ("config", {"data": [b"a", b"b"]}, "config is not one string"),
        ("layer", {"data": np.arange(4)}, "initial/R has shape (3, 2, 2), not (4, 2, 2)"),
    ],
)
def test_wrong_shapes_types_and_values(
    file: Path, place: str, options: dict[str, object], sentence: str
) -> None:
    assert sentence in damage(file, lambda f: replace(f, place, **options))


def test_kinds_that_are_not_in_the_enum(file: Path) -> None:
    enum = h5py.enum_dtype(schema.KIND_NAMES, basetype="i1")
    message = damage(file, lambda f: replace(f, "events/kind", data=np.full(20, 9, "i1"), dtype=enum))
    assert "events/kind is not between 0 and 8" in message


@pytest.mark.parametrize("place", ["data", "data/x", "config", "certificates/c/D"])
def test_links_out_of_the_file_are_not_followed(file: Path, good: Path, place: str) -> None:
    def change(f: h5py.File) -> None:
        del f[place]
        f[place] = h5py.ExternalLink(str(good), place)

    assert "is a link to elsewhere" in damage(file, change)


def test_virtual_and_external_data_are_not_read(file: Path, good: Path, tmp_path: Path) -> None:
    source = h5py.VirtualSource(str(good), "data/x", shape=(7, 2))
    mapped = h5py.VirtualLayout(shape=(7, 2), dtype="f8")
    mapped[...] = source

    def virtual(f: h5py.File) -> None:
        del f["data/x"]
        f.create_virtual_dataset("data/x", mapped)

    assert "data/x takes its data from other files" in damage(file, virtual)
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(112))
    outside = {"shape": (7, 2), "dtype": "f8", "external": [(str(secret), 0, 112)]}
    assert "data/x takes its data from other files" in damage(file, lambda f: replace(f, "data/x", **outside))


def test_compression_bombs_are_not_unpacked(file: Path) -> None:
    n = 10**10
    bomb = {"shape": (n, 2), "dtype": "f8", "chunks": (10**6, 2), "compression": "gzip"}

    def change(f: h5py.File) -> None:
        replace(f, "data/x", **bomb)
        replace(f, "data/cluster", shape=(n,), dtype="i8", chunks=(10**6,), compression="gzip")

    assert "unpacks to 2.4e+11 bytes or more" in damage(file, change)


def test_a_compressed_file_is_read(file: Path) -> None:
    with h5py.File(file, "r+", libver=("v110", "v110")) as f:
        x = f["data/x"][:]
        replace(f, "data/x", data=x, compression="gzip", shuffle=True)
    with runfile.open_run(file) as run:
        np.testing.assert_array_equal(run.x, x)


def test_truncated_anywhere(good: Path, tmp_path: Path) -> None:
    image = good.read_bytes()
    for length in np.linspace(0, len(image) - 1, 60, dtype=int):
        path = tmp_path / "run.h5"
        path.write_bytes(image[:length])
        refusal(path)


def test_a_flipped_bit_in_the_numbers_is_noticed(good: Path, tmp_path: Path) -> None:
    with h5py.File(good, "r") as f:
        image = bytearray(good.read_bytes())
        start = image.find(f["trajectory/beta"][:].tobytes())
    assert start > 0
    image[start + 100] ^= 0b100
    path = tmp_path / "run.h5"
    path.write_bytes(image)
    assert "trajectory/beta cannot be read" in refusal(path)


def test_a_heap_that_goes_nowhere_is_not_walked(good: Path, tmp_path: Path) -> None:
    image = bytearray(good.read_bytes())
    first_object = image.find(b"GCOL\x01\x00\x00\x00") + 16
    struct.pack_into("<HHLQ", image, first_object, 0, 0, 0, 0)
    path = tmp_path / "run.h5"
    path.write_bytes(image)
    assert "its strings cannot be read" in refusal(path)


def test_random_damage_is_read_or_refused(good: Path, tmp_path: Path) -> None:
    rng = random.Random(20)
    image = good.read_bytes()
    hot = [position for position, byte in enumerate(image) if byte]
    path = tmp_path / "run.h5"
    refused = 0
    for _ in range(300):
        damaged = bytearray(image)
        for _ in range(rng.choice([1, 1, 2, 20])):
            damaged[rng.choice(hot)] = rng.randrange(256)
        if rng.random() < 0.2:
            start = rng.randrange(len(image))
            damaged[start : start + 500] = rng.randbytes(min(500, len(image) - start))
        path.write_bytes(damaged)
        try:
            read_everything(path)
        except UserError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
    assert refused > 200
