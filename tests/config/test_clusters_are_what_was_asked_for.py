"""Training inputs: shapes with the right distribution, stable random streams, data files of every kind."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from config_samples import built, complaint
from hypothesis import given
from hypothesis import strategies as st

BALL = "{shape: ball, center: [1, 2, 3], radius: 2, size: 4000}"
SPHERE = "{shape: sphere, center: [1, 2, 3], radius: 2, size: 4000}"
NORMAL = "{shape: gaussian, center: [1, 2, 3], std: 0.5, size: 4000}"
POINTS = np.array([[1.0, 2.0], [3.0, 4.5], [-1e-3, 7.0]])


def points(text: str, *overrides: str) -> np.ndarray:
    return built(f"clusters: [{text}]\n", *overrides).problem.x


def test_ball_is_uniform_in_the_volume() -> None:
    away = points(BALL) - [1, 2, 3]
    distance = np.linalg.norm(away, axis=1)
    assert distance.max() <= 2
    # (distance/radius)^3 is uniform; 0.03 is about five standard errors of a uniform sample's quantiles.
    assert np.abs(np.sort((distance / 2) ** 3) - np.linspace(0, 1, 4000)).max() < 0.04
    assert np.abs(away.mean(axis=0)).max() < 0.1


def test_sphere_is_on_the_surface_in_every_direction() -> None:
    away = points(SPHERE) - [1, 2, 3]
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 2, rtol=1e-14)
    # In three dimensions each coordinate of a uniform point on the sphere is uniform.
    assert np.abs(np.sort(away[:, 0]) - np.linspace(-2, 2, 4000)).max() < 0.15


def test_gaussian_has_the_standard_deviation() -> None:
    away = points(NORMAL) - [1, 2, 3]
    np.testing.assert_allclose(np.cov(away.T), 0.25 * np.eye(3), atol=0.02)


@pytest.mark.parametrize("text", [BALL, SPHERE, NORMAL])
def test_a_larger_size_keeps_the_points_there_were(text: str) -> None:
    few, many = points(text, "clusters.0.size=7"), points(text, "clusters.0.size=19")
    np.testing.assert_array_equal(few, many[:7])


def test_radius_zero_puts_all_points_at_the_center() -> None:
    np.testing.assert_array_equal(points("{shape: ball, center: [1, 2], radius: 0, size: 3}"), [[1, 2]] * 3)


def test_seed_and_position_choose_the_points_and_other_clusters_do_not() -> None:
    one = "{shape: ball, center: [0, 0], radius: 1, size: 5}"
    alone = points(one)
    both = points(f"{one}, {one}")
    np.testing.assert_array_equal(both[:5], alone)
    assert not np.array_equal(both[5:], alone)
    assert not np.array_equal(points(one, "seed=1"), alone)


def test_a_named_cluster_keeps_its_points_wherever_it_is_listed() -> None:
    named = "{name: blue, shape: ball, center: [0, 0], radius: 1, size: 5}"
    other = "{shape: ball, center: [0, 0], radius: 1, size: 5}"
    np.testing.assert_array_equal(points(f"{named}, {other}")[:5], points(f"{other}, {named}")[5:])


def test_points_are_sorted_by_cluster() -> None:
    problem = built("clusters: [{points: [[1, 2], [3, 4]]}, {points: [[5, 6]]}]\n").problem
    np.testing.assert_array_equal(problem.x, [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(problem.cluster, [0, 0, 1])
    assert problem.cluster.dtype == np.int64


def save_everywhere(folder: Path) -> list[str]:
    np.save(folder / "p.npy", POINTS)
    np.save(folder / "int.npy", POINTS.astype(">i2"))
    np.savez(folder / "one.npz", only=POINTS)
    np.savez_compressed(folder / "two.npz", a=POINTS, b=np.zeros(3))
    np.savetxt(folder / "plain.csv", POINTS, delimiter=",")
    np.savetxt(folder / "hash.csv", POINTS, delimiter=",", header="x,y")
    (folder / "head.csv").write_bytes(b'\xef\xbb\xbf"x","y"\r\n1,2\r\n\r\n3,4.5\r\n-1e-3,7\r\n')
    (folder / "semi.csv").write_text("x;y\n1;2\n3;4.5\n-0.001;7\n")
    (folder / "tab.tsv").write_text("1\t2\n3\t4.5\n-0.001\t7\n")
    (folder / "utf16.csv").write_bytes("x,y\n1,2\n3,4.5\n-0.001,7\n".encode("utf-16"))
    with h5py.File(folder / "one.h5", "w") as file:
        file["only"] = POINTS
    with h5py.File(folder / "two.h5", "w") as file:
        file["group/a"] = POINTS.astype("f4").astype("f8")
        file["group/b"] = np.zeros(3)
    return [
        "p.npy",
        "one.npz",
        "one.npz:only",
        "two.npz:a",
        "plain.csv",
        "hash.csv",
        "head.csv",
        "semi.csv",
        "tab.tsv",
        "utf16.csv",
        "one.h5",
        "one.h5:only",
        "one.h5:/only",
    ]


def test_files_of_every_kind_give_the_same_points(tmp_path: Path) -> None:
    for name in save_everywhere(tmp_path):
        x = built(f"clusters: [{{file: '{name}'}}]\n", folder=tmp_path).problem.x
        np.testing.assert_array_equal(x, POINTS, err_msg=name)
        assert x.dtype == np.float64
    np.testing.assert_array_equal(
        built("clusters: [{file: int.npy}]\n", folder=tmp_path).problem.x, [[1, 2], [3, 4], [0, 7]]
    )
    np.testing.assert_allclose(
        built("clusters: [{file: 'two.h5:group/a'}]\n", folder=tmp_path).problem.x, POINTS, rtol=1e-6
    )


def damaged(folder: Path) -> dict[str, str]:
    """Write files that are wrong in some way; return a part of what must be said of each."""
    save_everywhere(folder)
    np.save(folder / "object.npy", np.array([[1, "a"]], dtype=object), allow_pickle=True)
    np.save(folder / "text.npy", np.array([["1", "a"]]))
    np.save(folder / "complex.npy", np.array([[1j]]))
    np.save(folder / "nan.npy", np.array([[1.0, np.nan]]))
    np.save(folder / "flat.npy", np.arange(3.0))
    np.save(folder / "empty.npy", np.zeros((0, 2)))
    np.save(folder / "long.npy", np.full((1, 1), np.finfo(np.longdouble).max))
    np.savez(folder / "object.npz", a=np.array([[1, "a"]], dtype=object))
    (folder / "cut.npy").write_bytes((folder / "p.npy").read_bytes()[:-9])
    (folder / "cut.npz").write_bytes((folder / "one.npz").read_bytes()[:-30])
    (folder / "cut.h5").write_bytes((folder / "one.h5").read_bytes()[:900])
    (folder / "noise.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{'descr': '<f8'")
    (folder / "noise.h5").write_bytes(b"abc")
    header = np.lib.format.header_data_from_array_1_0(POINTS) | {"shape": (10**9, 10**9)}
    with (folder / "huge.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with h5py.File(folder / "links.h5", "w") as file:
        file["outside"] = h5py.ExternalLink("one.h5", "only")
        layout = h5py.VirtualLayout(shape=(3, 2), dtype="f8")
        layout[:] = h5py.VirtualSource(str(folder / "one.h5"), "only", shape=(3, 2))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (3, 2), "f8", external=[(str(folder / "p.npy"), 128, 48)])
        file.create_dataset("bomb", (10**7, 10**7), "f8", chunks=(1000, 1000), compression="gzip")
        file["text"] = "words"
        file["null"] = h5py.Empty("f8")
    (folder / "ragged.csv").write_text("1,2\n3,4\n5\n")
    (folder / "missing.csv").write_text("x,y\n1,2\n,4\n")
    (folder / "na.csv").write_text("1,2\n3,NA\n")
    (folder / "words.csv").write_text("x,y\n1,2\n3,four\n")
    (folder / "inf.csv").write_text("1,2\n3,1e999\n")
    (folder / "comma.csv").write_text("x;y\n1,5;2\n")
    (folder / "blank.csv").write_text("1 2\n3 4\n")
    (folder / "mixed.csv").write_text("1,2\n3;4,\n")
    (folder / "void.csv").write_text("\n\n")
    (folder / "head_only.csv").write_text("x,y\n")
    (folder / "twice.csv").write_text("x,x\n1,2\n")
    (folder / "quote.csv").write_text('1,"2\n3,4\n')
    (folder / "latin.csv").write_bytes(b"x,h\xf6he\n1,2\n")
    (folder / "nul.csv").write_bytes(b"1,2\n3,\x00\n")
    (folder / "sheet.xlsx").write_bytes(b"PK\x03\x04")
    (folder / "folder.npy").mkdir()
    return {
        "object.npy": "holds object, not numbers; real or integer arrays are allowed, no pickles",
        "text.npy": "holds <U",
        "complex.npy": "holds complex128, not numbers",
        "nan.npy": "the number at index [0, 1] is not finite",
        "flat.npy": "points must be N×Q, a row a point; flat.npy is 3",
        "empty.npy": "empty.npy is 0×2",
        "long.npy": "is not finite" if np.finfo(np.longdouble).max > 1.7e308 else "coordinates up to",
        "object.npz": "holds object",
        "cut.npy": "is cut short",
        "cut.npz": "cannot be read",
        "cut.h5": "cannot be read",
        "noise.npy": "cannot be read",
        "noise.h5": "cannot be read",
        "huge.npy": "EiB of memory",
        "two.npz": "say which array after a colon; it has: a, b",
        "two.npz:c": "has no array 'c'",
        "two.h5": "say which dataset after a colon; it has: group/a, group/b",
        "two.h5:group/aa": "has no dataset 'group/aa' (did you mean 'group/a'?)",
        "two.h5:group": "has no dataset 'group'",
        "links.h5:outside": "has no dataset 'outside'",
        "links.h5:virtual": "has no dataset 'virtual'",
        "links.h5:external": "has no dataset 'external'",
        "links.h5:null": "has no dataset 'null'",
        "links.h5:bomb": "TiB of memory",
        "links.h5:text": "not numbers",
        "ragged.csv": "ragged.csv line 3: has 1 values where line 1 has 2",
        "missing.csv": "missing.csv line 3, column 'x': missing value ('')",
        "na.csv": "na.csv line 2, column 1: missing value ('NA')",
        "words.csv": "words.csv line 3, column 'y': 'four' is not a number",
        "inf.csv": "inf.csv line 2, column 1: 1e999 is not finite",
        "comma.csv": "'1,5' is not a number; write decimals with a point",
        "blank.csv": "separated by commas, semicolons or tabs",
        "mixed.csv": "mixed.csv line 2, column 0: '3;4' is not a number",
        "void.csv": "void.csv: is empty",
        "head_only.csv": "has a header and no rows",
        "twice.csv": "two columns are called 'x'",
        "quote.csv": "not valid CSV",
        "latin.csv": "latin.csv line 1: not UTF-8 text (byte 0xf6)",
        "nul.csv": "nul.csv line 2: a NUL byte",
        "sheet.xlsx": "no known kind of data file; allowed: .npy, .npz:key, .csv, .h5:dataset",
        "folder.npy": "not a file",
        "absent.npy": "no such file",
        "a\\0b.npy": "printable",
    }


def test_damaged_and_unsuitable_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    for name, said in damaged(tmp_path).items():
        message = complaint(f'clusters:\n- {{file: "{name}"}}\n', folder=tmp_path)
        assert said in message, (name, message)
        assert message.startswith("demo:2: clusters.0"), message


@given(data=st.data())
def test_mutated_data_files_never_end_in_anything_but_a_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutants"
    if not folder.exists():
        folder.mkdir()
        save_everywhere(folder)
    name = data.draw(st.sampled_from(["p.npy", "one.npz", "head.csv", "one.h5"]))
    content = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    (folder / f"mutant_{name}").write_bytes(content[:cut])
    try:
        problem = built(f"clusters: [{{file: 'mutant_{name}'}}]\nlabels: [[0, 0]]\n", folder=folder).problem
    except Exception as error:
        from truncflow_cli.errors import UserError

        assert isinstance(error, UserError), error
    else:
        assert np.isfinite(problem.x).all()
