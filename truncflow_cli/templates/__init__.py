"""Commented configs to start from: one a flow, named by its entry in the registry."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from importlib.resources import files

from truncflow_cli.config.errors import listed, shown, suggestion
from truncflow_cli.errors import UserError
from truncflow_cli.flows.registry import FLOWS, keys_of_some_flows

#: Sections of which a starter has every key, those too that its file does not mention.
_SECTIONS = {"integrator": "Integrator", "save": "Save"}


def flows() -> list[str]:
    """Return the flows that there is a starter for, in the order of the paper."""
    return [flow.name for flow in FLOWS.values() if flow.template]


def text(flow: str) -> str:
    """Return the starter of a flow, a YAML text.

    Raises:
        UserError: there is no such flow, or it has no starter.
    """
    if flow not in flows():
        hint = suggestion(flow, flows())
        raise UserError(f"--flow: {shown(flow)} is not a flow{hint}; allowed: {listed(flows())}")
    written = files(__name__).joinpath(FLOWS[flow].template).read_text(encoding="utf-8")
    for section in _SECTIONS:
        end = re.compile(rf"^{section}:\n(?:  .*\n)+", re.MULTILINE).search(written)
        if end is not None:
            lines = (f"  # {line}\n" for line in _not_mentioned(written, flow, section))
            written = written[: end.end()] + "".join(lines) + written[end.end() :]
    return written


def _not_mentioned(written: str, flow: str, section: str) -> Iterator[str]:
    """Yield lines on each key of a section that a starter does not mention: what it means, and its default."""
    from truncflow_cli.config.schema import json_schema

    some = keys_of_some_flows()
    for key, about in json_schema()["$defs"][_SECTIONS[section]]["properties"].items():
        path = f"{section}.{key}"
        known = flow in some.get(path, FLOWS) and path not in FLOWS[flow].ignores
        if known and "default" in about and not re.search(rf"\b{key}: ", written):
            yield from textwrap.wrap(about["description"], 100)
            yield f"{key}: {str(about['default']).lower()}"
