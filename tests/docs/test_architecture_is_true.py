"""Every path, module and function that `truncflow docs architecture` names is there."""

from __future__ import annotations

import ast
import re

import pytest
from command_line import ROOT

from truncflow_cli.docs import pages

TEXT = pages.text("architecture").partition("\n## Files\n")[0]
PACKAGE = ROOT / "truncflow_cli"
NAMED = sorted(set(re.findall(r"`((?:[\w.-]+/)*[\w.-]*(?:/|\.py|\.c|\.h|\.md))(?::(\w+))?`", TEXT)))


def test_very_many_places_are_named() -> None:
    assert len(NAMED) > 80


@pytest.mark.parametrize(("path", "name"), NAMED, ids=":".join)
def test_what_is_named_exists(path: str, name: str) -> None:
    place = ROOT / path if path.startswith("tests/") else PACKAGE / path
    assert place.is_dir() if path.endswith("/") else place.is_file()
    if name:
        tree = ast.parse(place.read_text())
        definitions = (ast.FunctionDef, ast.ClassDef)
        assert name in {node.name for node in tree.body if isinstance(node, definitions)}


def test_imports_point_down_the_list() -> None:
    """Imports at the top of modules; those inside functions wait for start-up time."""
    layers = TEXT.partition("## What may import what")[2].partition("\n## ")[0]
    ranks = {
        name: rank
        for rank, line in enumerate(re.findall(r"^- .*$", layers, re.MULTILINE))
        for name in re.findall(r"`(\w+)(?:/|\.py)`", line.partition(": ")[0])
    }
    assert len(ranks) > 20
    for path in PACKAGE.rglob("*.py"):
        here = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("truncflow_cli"):
                continue
            inside = (node.module or "").split(".")[1:2] or [alias.name for alias in node.names]
            for there in inside:
                if here in ranks and there in ranks:
                    assert ranks[here] <= ranks[there], f"{path}: {here} imports {there}"


def test_every_row_of_the_table_of_equations_names_a_place() -> None:
    table = TEXT.partition("## Where each equation is evaluated")[2]
    assert len(re.findall(r"^\| .*\(\d\.\d+\).* \|$", table, re.MULTILINE)) >= 25
    for row in re.findall(r"^\| .*`.* \|$", table, re.MULTILINE):
        assert re.search(r"\w+\.(py:\w+|c)`", row), row


def test_every_package_is_in_the_list_of_files() -> None:
    files = pages.text("architecture").partition("\n## Files\n")[2]
    for package in PACKAGE.rglob("__init__.py"):
        name = package.parent.relative_to(ROOT / "truncflow_cli").as_posix().removeprefix(".")
        assert f"**`{name or 'truncflow_cli'}/`**" in files
