"""The JSON Schema: a description with every key, and every form of a value that the reader takes."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from truncflow_cli import config

FOLDER = Path(__file__).parents[2] / "configs"
SCHEMA = config.json_schema()


#: What a schema of a number says besides its bounds, and what the bounds mean.
_WORDS = ("type", "description", "default")
_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
}


def target(schema: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Say whether ``value`` fits, for the keywords that this schema uses."""
    schema = target(schema)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            fitting = sum(accepts(option, value) for option in schema[keyword])
            return fitting == 1 if keyword == "oneOf" else fitting > 0
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "number": (int, float),
        "integer": int,
        "boolean": bool,
        "null": type(None),
    }
    if not isinstance(value, kinds[schema["type"]]) or (
        isinstance(value, bool) and schema["type"] != "boolean"
    ):
        return False
    if schema["type"] in ("integer", "number"):
        bounds = {word: bound for word, bound in schema.items() if word not in _WORDS}
        return all(_BOUNDS[word](value, bound) for word, bound in bounds.items())
    if schema["type"] == "array":
        return len(value) >= schema.get("minItems", 0) and all(
            accepts(schema["items"], item) for item in value
        )
    if schema["type"] == "object":
        known = schema["properties"]
        assert schema["additionalProperties"] is False
        return set(schema.get("required", [])) <= set(value) <= set(known) and all(
            accepts(known[key], item) for key, item in value.items()
        )
    return True


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for definition in (schema, *schema["$defs"].values()):
        yield from definition["properties"].items()


def test_every_key_is_described_and_equations_are_named() -> None:
    described = dict(properties(SCHEMA))
    for key, value in properties(SCHEMA):
        assert len(value.get("description") or target(value).get("description", "")) > 5, key
    text = json.dumps(SCHEMA)
    assert "(1.15)" in described["output_map"]["description"]
    assert all(
        equation in text
        for equation in ("(3.3)", "(3.25)", "(8.1)", "(9.2)", "(9.3)", "(2.22)", "section 4.3")
    )
    assert list(SCHEMA["properties"])[:5] == ["name", "flow", "equations", "seed", "clusters"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_fit(path: Path) -> None:
    assert accepts(SCHEMA, yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("initial: {construct: separated}", True),
        ("initial: {construct: {method: separated, start: full, margin: 0.1}}", True),
        ("initial: {construct: sep}", False),
        ("initial: {rotation: random, bias: {normal: 0.5}}", True),
        ("initial: {bias: [[1, 2]], output_weight: {scale: 2}}", True),
        ("labels: {scale: 2}", True),
        ("labels: {scal: 2}", False),
        ("labels: {file: y.npy}", True),
        ("output_map: {random: orthogonal}", True),
        ("clusters: {file: a.csv, label_column: 3, reduce: {to: 2}}", True),
        ("clusters: {file: a.csv}", False),
        ("clusters: [{points: [[1]]}, {file: a.npy}]", True),
        ("clusters: [{shape: ball, center: [1], radius: 2, size: 3, name: x}]", True),
        ("clusters: [{shape: cube, center: [1], radius: 2, size: 3}]", False),
        ("save: {at: [1, 2]}", True),
        ("sav: {}", False),
        ("seed: -1", False),
        ("seed: 9223372036854775808", False),
        ("save: {count: 1}", False),
        ("layers: 10001", False),
        ("clusters: [{shape: ball, center: [1], radius: 2, size: 0}]", False),
        ("integrator: {rtol: 2}", False),
        ("integrator: {max_events: 0}", False),
        ("seed:", True),
        ("integrator:", True),
        ("save: {every:}", True),
        ("clusters: [{points:}]", False),
    ],
)
def test_it_takes_what_the_reader_takes(text: str, fits: bool) -> None:
    assert accepts(SCHEMA, yaml.safe_load(text)) is fits
