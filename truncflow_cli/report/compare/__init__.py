"""Runs side by side: what differs in their configs, how far their states part, which events they share."""

from truncflow_cli.report.compare.compare import Comparison, Member, compare, member

__all__ = ["Comparison", "Member", "compare", "member"]
