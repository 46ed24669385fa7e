"""The page on the config, made from its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from truncflow_cli.config.schema import json_schema

_HEAD = """\
# Configuration

A run is a YAML file. Every key is optional but `clusters` (flow `collapsed` does without); an unknown key is an error
that names the nearest valid one. `truncflow new NAME --flow FLOW` writes a config with every key that a flow knows,
`--set key.path=value` replaces a setting for one run (`--set clusters.0.size=50`), and `truncflow run CONFIG --dry-run`
says what would be run. Where a key has a default, leaving it out is the same. `null` unsets a key. Paths in a config
are relative to it, except `output`, which is relative to the current folder. Numbers such as `1e-9` are numbers here,
also where YAML 1.1 would take them for text. The equation numbers are those of arXiv:2501.07400.

This page is generated from the schema that `truncflow schema` prints.
"""

#: Models that are one form of a cluster, in the order in which they are shown.
_CLUSTERS = {
    "ShapedCluster": "clusters: random points",
    "ListedCluster": "clusters: written out",
    "FileCluster": "clusters: from a file",
    "LabelledTable": "clusters: one labelled table",
    "Reduction": "clusters: reduce",
}
_SECTIONS = {
    "Initial": "initial",
    "Construction": "initial.construct",
    "Integrator": "integrator",
    "Save": "save",
}


def config_page() -> str:
    """Return the page: every key with the values it takes, its default and its meaning."""
    schema = json_schema()
    parts = [_HEAD, "## Top level\n\n" + _keys(schema, schema)]
    for name, title in {**_CLUSTERS, **_SECTIONS}.items():
        model = schema["$defs"][name]
        parts.append(f"## {title}\n\n{model['description']}\n\n{_keys(model, schema)}")
    return "\n".join(parts)


def _keys(model: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    required = model.get("required", [])
    lines = []
    for name, key in model["properties"].items():
        facts = [_values(key, schema)]
        if name in required:
            facts.append("required")
        elif "default" in key:
            facts.append(f"default `{_default(key['default'])}`")
        meaning = key.get("description") or _target(key, schema)["description"]
        lines.append(f"- `{name}`: {', '.join(facts)}. {meaning}\n")
    return "".join(lines)


def _default(value: Any) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _target(key: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in key:
        found: Mapping[str, Any] = schema["$defs"][key["$ref"].rpartition("/")[2]]
        return found
    return key


def _values(key: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return in words which values a key takes."""
    return " | ".join(dict.fromkeys(_forms(key, schema)))


def _forms(key: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    for keyword in ("anyOf", "oneOf"):
        for option in key.get(keyword, ()):
            yield from _forms(option, schema)
    if "$ref" in key:
        model = _target(key, schema)
        name = key["$ref"].rpartition("/")[2]
        if title := {**_CLUSTERS, **_SECTIONS}.get(name):
            yield f"section *{title}*"
        else:
            yield " ".join(f"`{{{each}: ...}}`" for each in model["properties"])
    elif "enum" in key or "const" in key:
        yield from (f"`{value}`" for value in key.get("enum", [key.get("const")]))
    elif key.get("type") == "array":
        yield _list(key, schema)
    elif key.get("type") in ("number", "integer"):
        yield _number(key)
    elif key.get("type") == "string":
        yield "text"
    elif key.get("type") == "boolean":
        yield "`true` | `false`"


def _list(key: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    depth, inner = 0, key
    while inner.get("type") == "array":
        depth, inner = depth + 1, inner["items"]
    if inner.get("type") == "number":
        return {1: "list of numbers", 2: "list of rows of numbers", 3: "list of matrices"}[depth]
    return f"list ({_values(inner, schema)})"


def _number(key: Mapping[str, Any]) -> str:
    kind = "integer" if key["type"] == "integer" else "number"
    low = key.get("minimum", key.get("exclusiveMinimum"))
    high = key.get("maximum", key.get("exclusiveMaximum"))
    beyond = "above" if "exclusiveMinimum" in key else "from"
    # The largest integers are limits of the machine, not of the problem.
    bounded = high is not None and high < 2**53 - 1
    if low is None:
        return kind
    return f"{kind} {beyond} {low:g}" + (f" to {high:g}" if bounded else "")
