"""One labelled CSV table: classes, columns, standardizing, principal components, and what can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from config_samples import built, complaint
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from truncflow_cli.config.table import principal_components, standardized

TABLE = """\
length,width,kind,colour
1.0,10,b,1
2.0,30,a,2
4.0,20,b,3
8.0,50,c,4
"""


def table(folder: Path, settings: str, text: str = TABLE) -> str:
    (folder / "t.csv").write_text(text)
    return f"clusters: {{file: t.csv, {settings}}}\nlabels: {{file: y.csv}}\n"


def made(
    folder: Path, settings: str, text: str = TABLE, n_classes: int = 3
) -> tuple[np.ndarray, np.ndarray, str]:
    config = table(folder, settings, text)
    columns = 1
    while True:
        # The labels' width is that of the table, whatever it is.
        np.savetxt(folder / "y.csv", np.zeros((n_classes, columns)), delimiter=",")
        try:
            result = built(config, folder=folder)
        except Exception as error:
            if "must be" not in str(error) or columns > 5:
                raise
            columns += 1
        else:
            return result.problem.x, result.problem.cluster, str(result.notes["clusters"])


def test_classes_are_sorted_and_rows_keep_their_order(tmp_path: Path) -> None:
    x, cluster, names = made(tmp_path, "label_column: kind")
    np.testing.assert_array_equal(x, [[2, 30, 2], [1, 10, 1], [4, 20, 3], [8, 50, 4]])
    np.testing.assert_array_equal(cluster, [0, 1, 1, 2])
    assert names == "a, b, c"


def test_numeric_classes_are_sorted_as_numbers(tmp_path: Path) -> None:
    _, cluster, names = made(tmp_path, "label_column: y", "x,y\n1,10\n2,9\n3,-1\n")
    assert names == "-1, 9, 10"
    np.testing.assert_array_equal(cluster, [0, 1, 2])


def test_columns_are_chosen_by_name_or_index(tmp_path: Path) -> None:
    for columns in ("[width, length]", "[1, 0]", "[-3, length]"):
        x, _, _ = made(tmp_path, f"label_column: kind, columns: {columns}")
        np.testing.assert_array_equal(x, [[30, 2], [10, 1], [20, 4], [50, 8]])


@pytest.mark.parametrize("label", ["2", "-1"])
def test_a_table_without_header_takes_an_index(label: str, tmp_path: Path) -> None:
    for header in ("", "a,b,c\n"):
        x, _, names = made(tmp_path, f"label_column: {label}", f"{header}1,2,v\n3,4,u\n", n_classes=2)
        np.testing.assert_array_equal(x, [[3, 4], [1, 2]])
        assert names == "u, v"


def test_quotes_semicolons_and_crlf_are_read(tmp_path: Path) -> None:
    text = '"a";"b";"kind"\r\n"1";2;"x; y"\r\n3;4;z\r\n'
    x, _, names = made(tmp_path, "label_column: kind", text, n_classes=2)
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
    assert names == "x; y, z"


def test_scale_comes_last(tmp_path: Path) -> None:
    plain, _, _ = made(tmp_path, "label_column: kind, standardize: true")
    scaled, _, _ = made(tmp_path, "label_column: kind, standardize: true, scale: 2.5")
    np.testing.assert_array_equal(scaled, 2.5 * plain)
    np.testing.assert_allclose(plain.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(plain.std(axis=0), 1, rtol=1e-14)


MATRICES = arrays(
    np.float64, st.tuples(st.integers(2, 8), st.integers(1, 5)), elements=st.floats(-100, 100, width=16)
)


@given(MATRICES, st.sampled_from([1e-250, 1.0, 1e250]))
def test_standardizing_works_at_every_scale(x: np.ndarray, scale: float) -> None:
    result, constant = standardized(x * scale)
    np.testing.assert_array_equal(result[:, constant], 0)
    varying = result[:, ~constant]
    np.testing.assert_allclose(varying.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(varying.std(axis=0), 1, rtol=1e-10)


@given(MATRICES, st.data())
def test_principal_components_are_the_eigenvectors_of_the_covariance(
    x: np.ndarray, data: st.DataObject
) -> None:
    to = data.draw(st.integers(1, min(x.shape)))
    projected, explained = principal_components(x, to)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True).reshape(x.shape[1], -1))[::-1]
    scale = max(eigenvalues[0], 1e-30)
    np.testing.assert_allclose(
        projected.T @ projected / len(x), np.diag(eigenvalues[:to]), atol=1e-12 * scale
    )
    assert explained == pytest.approx(
        eigenvalues[:to].sum() / eigenvalues.sum() if eigenvalues[0] > 1e-25 else 1
    )


def test_the_largest_loading_is_positive() -> None:
    x = np.array([[-3.0, 1.0], [0.0, 0.0], [3.0, -1.0]])
    projected, explained = principal_components(x, 1)
    assert projected[0, 0] < 0 < projected[2, 0]
    assert explained == pytest.approx(1)


def test_constant_columns_are_warned_of(tmp_path: Path) -> None:
    text = table(tmp_path, "label_column: kind, standardize: true", "a,b,kind\n1,5,u\n2,5,u\n")
    (tmp_path / "y.csv").write_text("0,0\n")
    result = built(text, folder=tmp_path)
    assert result.warnings == ("constant after reading, and 0 after standardizing: column 'b'",)


WRONG = [
    (
        "label_column: knd",
        TABLE,
        "clusters.label_column: t.csv has no column 'knd' (did you mean 'kind'?); it has: 'length'",
    ),
    ("label_column: 9", TABLE, "clusters.label_column: t.csv has columns 0 to 3, not 9"),
    (
        "label_column: kind, columns: [lenth]",
        TABLE,
        "clusters.columns.0: t.csv has no column 'lenth' (did you mean 'length'",
    ),
    (
        "label_column: kind, columns: [kind]",
        TABLE,
        "clusters.columns.0: the label column cannot be a coordinate",
    ),
    ("label_column: kind, columns: [width, 1]", TABLE, "clusters.columns: the same column twice"),
    (
        "label_column: kind, reduce: {to: 9}",
        TABLE,
        "clusters.reduce.to: 4 rows of 3 columns cannot be reduced to 9; at most 3",
    ),
    (
        "label_column: kind, reduce: {method: tsne, to: 1}",
        TABLE,
        "clusters.reduce.method: 'tsne' is not allowed; allowed: pca",
    ),
    (
        "label_column: width",
        TABLE,
        "column 'kind' does not hold numbers ('b' in line 2); list the columns to use, columns: [length, col",
    ),
    ("label_column: kind", TABLE.replace("4.0", ""), "t.csv line 4, column 'length': missing value ('')"),
    ("label_column: kind", TABLE.replace("4.0", "?"), "t.csv line 4, column 'length': missing value ('?')"),
    (
        "label_column: kind",
        TABLE.replace("4.0", "four"),
        "t.csv line 4, column 'length': 'four' is not a number",
    ),
    ("label_column: kind", TABLE.replace(",c,", ",,"), "t.csv line 5, column 'kind': missing label ('')"),
    ("label_column: kind", TABLE + "1,2\n", "t.csv line 6: has 2 values where line 1 has 4"),
    ("label_column: kind", TABLE.replace(",", "|"), "is the separator a comma, semicolon or tab?"),
    ("label_column: kind", "kind\na\n", "has no column besides column 'kind'"),
    ("label_column: kind", "", "t.csv: is empty"),
    ("label_column: kind", "kind,x\n", "has a header and no rows"),
    ("label_column: kind", "kind,x\na,1e200\n", "clusters: point 0 has coordinate 1e+200"),
    ("label_column: kind, scale: 0", TABLE, "clusters.scale: must be greater than 0"),
]


@pytest.mark.parametrize(("settings", "text", "said"), WRONG, ids=[f"{w[0]} | {w[2][:30]}" for w in WRONG])
def test_a_wrong_table_is_said_in_a_sentence(settings: str, text: str, said: str, tmp_path: Path) -> None:
    message = complaint(table(tmp_path, settings, text), folder=tmp_path)
    assert said in message
    assert message.startswith("demo:1: clusters")


def test_more_classes_than_dimensions_need_labels_of_their_own(tmp_path: Path) -> None:
    text = table(tmp_path, "label_column: kind, columns: [length]").replace("{file: y.csv}", "identity")
    message = complaint(text, folder=tmp_path)
    assert (
        "labels: y_j = e_j needs C <= Q, but there are 3 clusters in 1 dimensions; give a C×Q list" in message
    )


def test_other_kinds_of_file_are_no_tables(tmp_path: Path) -> None:
    assert "clusters.file: t.npy: a labelled table is a CSV file" in complaint(
        "clusters: {file: t.npy, label_column: a}"
    )
    assert "no such file" in complaint("clusters: {file: t.csv, label_column: a}", folder=tmp_path)
