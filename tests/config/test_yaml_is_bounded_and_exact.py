"""YAML: numbers as one expects, places of keys, and nothing that a hostile text can do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from config_samples import GOOD, complaint, read

from truncflow_cli import config
from truncflow_cli.config import yaml_nodes
from truncflow_cli.config.document import parse
from truncflow_cli.config.errors import text_of
from truncflow_cli.config.yaml_nodes import compose, resolve
from truncflow_cli.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-9", 1e-9),
        ("1E5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-2.5e+3", -2500.0),
        ("1_000", 1000),
        ("010", 10),
        ("0x10", 16),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2.0**63),
        ("yes", True),
        ("Off", False),
        ("", None),
        ("~", None),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ("e5", "e5"),
        ("1e", "1e"),
        ("_1", "_1"),
        ("nan", "nan"),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


@pytest.mark.parametrize("text", ["1e400", "-1e999", ".inf", "-.INF", ".nan", "1" * 400])
def test_numbers_that_no_double_holds_are_refused(text: str) -> None:
    assert f"demo:2: {text[:20]}"[:8] in complaint(f"flow: separated\nseed: {text}\n")


def test_quoted_numbers_stay_texts() -> None:
    assert read(GOOD + "name: '1e-9'\n").name == "1e-9"


@pytest.mark.parametrize("loader", ["c", "python"])
def test_both_parsers_of_pyyaml_give_the_same(loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_nodes, "_LOADER", yaml.CSafeLoader if loader == "c" else yaml.SafeLoader)
    document = parse(GOOD + "name: &x 'q'\noutput: *x\n", "demo")
    assert document.plain()["output"] == "q"
    assert document.place(("clusters", 1, "points")) == "demo:5"
    assert document.place(("initial", "rotation")) == "demo:8"
    assert document.place(("save", "at", 1)) == "demo:13"
    with pytest.raises(UserError, match=r"demo:1: not valid YAML"):
        parse("a: [1", "demo")
    with pytest.raises(UserError, match=r"demo:2: a tab cannot indent YAML"):
        parse("a:\n\tb: 1\n", "demo")


def test_merge_keys_and_aliases_keep_their_own_places() -> None:
    text = (
        "clusters:\n"
        "  - &a {shape: ball, center: [1, 0], radius: 0.1, size: 3}\n"
        "  - <<: *a\n"
        "    center: [0, 1]\n"
        "    siz: 4\n"
    )
    assert "demo:5: clusters.1.siz: unknown key (did you mean 'size'?)" in complaint(text)
    merged = read(text.replace("siz:", "size:")).config.clusters
    assert [(c.center, c.size) for c in merged] == [([1, 0], 3), ([0, 1], 4)]


def test_an_override_of_an_aliased_value_changes_only_that_one() -> None:
    text = "clusters:\n  - &a {shape: ball, center: [1, 0], radius: 0.1, size: 3}\n  - *a\n"
    sizes = [cluster.size for cluster in read(text, "clusters.1.size=5").config.clusters]
    assert sizes == [3, 5]


@pytest.mark.parametrize("depth", [40, 100_000])
@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused(depth: int, bracket: str) -> None:
    assert "nested deeper than 32 levels" in complaint(bracket * depth)


def test_alias_bombs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    before = time.perf_counter()
    assert "aliases expanded" in complaint("\n".join(lines))
    assert time.perf_counter() - before < 2


def test_merge_bombs_are_refused_at_once() -> None:
    lines = ["a0: &a0 {k0: 1, k1: 2}"]
    lines += [f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 12)]
    assert "aliases expanded" in complaint("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]", "alias *a stands for nothing that ends before it"),
        ("a: *b", "alias *b stands for nothing"),
        ("a: 1\nb: 2\na: 3\n", "demo:3: key 'a' appears twice (first in line 1)"),
        ("a: !!python/object/apply:os.system [x]", "is not allowed; write plain values"),
        ("a: !thing 3", "tag '!thing' is not allowed"),
        ("a: 1\n---\na: 2\n", "demo:2: a second YAML document"),
        ("? [a]\n: 1", "demo:1: a key must be a plain word"),
        ("? {a: 1}\n: 1", "demo:1: a key must be a plain word"),
        ("a: &x [1]\n*x : 3", "a key must be a plain word"),
        ("<<: 3", "<< takes a mapping"),
        ("'<<': {a: 1}", "unknown key '<<'"),
        ("", "the configuration is empty"),
        ("# nothing\n", "the configuration is empty"),
        ("~", "the configuration is empty"),
        ("just words", "a configuration is a mapping"),
        ("- 1", "a configuration is a mapping"),
        ("a: 1\nb: \x00", "demo:2: character U+0000 is not allowed"),
        ("a: \x1b[31m", "character U+001B"),
        ("a: \ud800", "character U+D800"),
        ("x: 1\n\tb: 3", "demo:2: a tab cannot indent YAML"),
        ("a: b: c", "demo:1: not valid YAML: mapping values are not allowed"),
        ("a: 'x", "not valid YAML"),
        ("%YAML 9.9\n---\na: 1", "demo:1: not valid YAML"),
    ],
)
def test_what_is_not_a_configuration_is_said_in_a_sentence(text: str, said: str) -> None:
    assert said in complaint(text)


def test_texts_of_every_line_ending_and_mark_are_read(tmp_path: Path) -> None:
    plain = read(GOOD).config
    for name, data in {
        "bom": b"\xef\xbb\xbf" + GOOD.encode(),
        "crlf": GOOD.replace("\n", "\r\n").encode(),
        "utf16": GOOD.encode("utf-16"),
        "utf16be": b"\xfe\xff" + GOOD.encode("utf-16-be"),
    }.items():
        path = tmp_path / f"{name}.yaml"
        path.write_bytes(data)
        experiment = config.load(path)
        assert experiment.name == name
        assert experiment.config.model_copy(update={"name": "demo"}) == plain


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: \xff", "f.yaml:1: not UTF-8 text (byte 0xff)"),
        (b"a: 1\nb: caf\xe9\n", "f.yaml:2: not UTF-8 text"),
        ("flow: separated".encode("utf-16-le"), "U+0000 is not allowed"),
        (b"\xff\xfea", "not UTF-8 text"),
        (bytes(range(256)) * 4, "not UTF-8 text"),
    ],
)
def test_files_that_are_not_text_are_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        config.load(path)
    assert said in str(caught.value)


def test_files_beyond_the_size_limit_are_not_even_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    before = time.perf_counter()
    with pytest.raises(UserError, match="larger than 4 MiB"):
        config.load(path)
    assert time.perf_counter() - before < 1
    with pytest.raises(UserError, match="larger than 4 MiB"):
        compose("x" * (yaml_nodes.MAX_BYTES + 1), "demo")
    assert text_of(b"a: 1", "demo") == "a: 1"


def test_the_largest_allowed_file_is_read_or_refused_within_seconds() -> None:
    rows = "".join(f"  - [{i}.5, {i}.25]\n" for i in range(20_000))
    before = time.perf_counter()
    read(f"clusters:\n- points:\n{rows}")
    assert time.perf_counter() - before < 10
    assert "more than 400000 values" in complaint("a: [" + "1," * 410_000 + "1]")


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b.yaml"])
def test_unreadable_configurations_are_user_errors(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the configuration"):
        config.load(tmp_path / name)
