"""Commented configs to start from: one a flow, named by its entry in the registry."""

from __future__ import annotations

from importlib.resources import files

from truncflow_cli.config.errors import listed, shown, suggestion
from truncflow_cli.errors import UserError
from truncflow_cli.flows.registry import FLOWS


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
    return files(__name__).joinpath(FLOWS[flow].template).read_text(encoding="utf-8")
