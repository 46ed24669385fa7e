"""The keys of a config for its page, made from the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from truncflow_cli.config.schema import json_schema

#: The models that have a section, in the order in which they are shown, and its title.
_SECTIONS = {
    "ShapedCluster": "clusters: random points",
    "ListedCluster": "clusters: written out",
    "FileCluster": "clusters: from a file",
    "LabelledTable": "clusters: one labelled table",
    "Reduction": "clusters: reduce",
    "Initial": "initial",
    "Construction": "initial.construct",
    "Integrator": "integrator",
    "Save": "save",
}


def config_keys() -> str:
    """Return every key with the values it takes, its default and its meaning, section by section."""
    schema = json_schema()
    parts = [f"## Top level\n\n{_keys(schema, schema)}"]
    for name, title in _SECTIONS.items():
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
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


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
        if title := _SECTIONS.get(name):
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
