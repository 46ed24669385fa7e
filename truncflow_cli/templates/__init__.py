"""Commented configs to start from, one a flow."""

from __future__ import annotations

from importlib.resources import files

from truncflow_cli.config.errors import listed, shown, suggestion
from truncflow_cli.errors import UserError

#: The flows that there is a starter for, in the order of the paper.
FLOWS = ("separated", "general", "collapsed", "clustered")


def text(flow: str) -> str:
    """Return the starter of a flow, a YAML text.

    Raises:
        UserError: there is no such flow.
    """
    if flow not in FLOWS:
        hint = suggestion(flow, FLOWS)
        raise UserError(f"--flow: {shown(flow)} is not a flow{hint}; allowed: {listed(FLOWS)}")
    return files(__name__).joinpath(f"{flow}.yaml").read_text(encoding="utf-8")
