"""The schema's complaints as one sentence a user can act on."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from truncflow_cli.config.document import Document
from truncflow_cli.config.errors import listed, nearest, shown, suggestion
from truncflow_cli.config.schema import Config
from truncflow_cli.config.types import FORM
from truncflow_cli.errors import UserError

#: What is told first when several things are wrong: a misspelt key is why another one is missing.
_ORDER = ("unknown_key", "form")
#: Of a set of points that is wrong all through, so many mistakes are looked at.
_LOOKED_AT = 1000


def explain(error: ValidationError, document: Document) -> UserError:
    """Return the first and most telling of the schema's errors, at its place."""
    details = [(_path(detail), detail) for detail in error.errors(include_url=False)[:_LOOKED_AT]]
    details.sort(key=lambda found: (_rank(found[1]["type"]), document.line(found[0])))
    path, detail = details[0]
    others = len({path for path, _ in details}) - 1
    at_least = " or" if error.error_count() > _LOOKED_AT else ""
    more = f" (and {others}{at_least} more after this)" if others else ""
    if detail["type"] == "missing":  # said of what lacks it
        return document.error(path[:-1], f"{path[-1]} is missing{more}")
    return document.error(path, _sentence(detail) + more)


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _path(detail: ErrorDetails) -> tuple[str | int, ...]:
    """Return the keys that lead to the wrong value, without the names of forms."""
    path = tuple(part for part in detail["loc"] if not (isinstance(part, str) and part.startswith(FORM)))
    context = detail.get("ctx", {})
    return (*path, *context.get("inside", ()), *([context["key"]] if "key" in context else ()))


def _sentence(detail: ErrorDetails) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "mistake":
        return str(context["message"])
    if kind == "unknown_key":
        return _unknown_key(context["key"], context["allowed"])
    if kind in ("form", "literal_error"):
        is_form = kind == "form"
        allowed = detail["msg"] if is_form else context["expected"].replace(" or ", ", ").replace("'", "")
        hint = suggestion(value, allowed.split(", ")) if isinstance(value, str) else ""
        what = "is not one of its forms" if is_form else "is not allowed"
        return f"{_quoted(value)} {what}{hint}; allowed: {allowed}"
    what = _TYPES[kind].format(**context) if kind in _TYPES else detail["msg"][:1].lower() + detail["msg"][1:]
    return f"{what}, not {_quoted(value)}"


_TYPES = {
    "float_type": "must be a number",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "string_type": "must be a text (put it in quotes)",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must have at least {min_length} item",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
}


def _quoted(value: object) -> str:
    """Return the wrong value as a user would know it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "an empty list" if not value else "a list"
    if isinstance(value, dict):
        return f"a mapping with {listed(map(shown, value), 4)}" if value else "an empty mapping"
    return shown(value)


def _unknown_key(key: str, allowed: list[str]) -> str:
    """Return what to say of a key that does not exist: the nearest that does, here or elsewhere."""
    if nearest(key, allowed) is None:
        elsewhere = [path for path in _every_key(Config) if path.rpartition(".")[2] == key]
        if elsewhere:
            return f"unknown key here; it belongs at {' or '.join(elsewhere)}"
    hint = suggestion(key, allowed)
    return f"unknown key{hint}; allowed: {listed(allowed, 16)}"


def _every_key(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted path of every key whose place is fixed."""
    paths = []
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        paths.append(path)
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                paths.extend(_every_key(inner, f"{path}."))
    return paths
