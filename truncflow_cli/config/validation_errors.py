"""The schema's complaints as one sentence a user can act on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from truncflow_cli.config.document import Document, KeyPath
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
    details = error.errors(include_url=False)[:_LOOKED_AT]
    details.sort(key=lambda detail: (_rank(detail["type"]), document.line(_path(detail))))
    path, message = _sentence(details[0])
    others = len({_path(detail) for detail in details}) - 1
    at_least = " or" if error.error_count() > _LOOKED_AT else ""
    more = f" (and {others}{at_least} more after this)" if others else ""
    return document.error(path, f"{message}{more}")


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _path(detail: ErrorDetails) -> KeyPath:
    """Return the keys that lead to the wrong value, without the names of forms."""
    path = tuple(part for part in detail["loc"] if not (isinstance(part, str) and part.startswith(FORM)))
    context = detail.get("ctx", {})
    if detail["type"] == "mistake":
        return path + tuple(context["inside"])
    return (*path, context["key"]) if detail["type"] == "unknown_key" else path


def _sentence(detail: ErrorDetails) -> tuple[KeyPath, str]:
    path, kind, context, value = _path(detail), detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "mistake":
        return path, context["message"]
    if kind == "unknown_key":
        return path, _unknown_key(context["key"], context["allowed"])
    if kind in ("form", "literal_error"):
        is_form = kind == "form"
        allowed = detail["msg"] if is_form else context["expected"].replace(" or ", ", ").replace("'", "")
        hint = suggestion(value, allowed.split(", ")) if isinstance(value, str) else ""
        what = "is not one of its forms" if is_form else "is not allowed"
        return path, f"{_quoted(value)} {what}{hint}; allowed: {allowed}"
    if kind == "missing":
        return path[:-1], f"{path[-1]} is missing"
    say = _TYPES.get(kind)
    what = say(context) if say is not None else detail["msg"][:1].lower() + detail["msg"][1:]
    return path, f"{what}, not {_quoted(value)}"


_TYPES: dict[str, Callable[[dict[str, Any]], str]] = {
    "float_type": lambda _: "must be a number",
    "int_type": lambda _: "must be an integer",
    "bool_type": lambda _: "must be true or false",
    "string_type": lambda _: "must be a text (put it in quotes)",
    "list_type": lambda _: "must be a list",
    "model_type": lambda _: "must be a mapping of keys",
    "dict_type": lambda _: "must be a mapping of keys",
    "finite_number": lambda _: "must be a finite number",
    "greater_than": lambda context: f"must be greater than {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "too_short": lambda context: f"must have at least {context['min_length']} item",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
}


def _quoted(value: object) -> str:
    """Return the wrong value as a user would know it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
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
