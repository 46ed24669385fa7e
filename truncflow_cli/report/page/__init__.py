"""A run as one self-contained web page: curves, geometry, events and certificates, with a slider along s."""

from __future__ import annotations

from truncflow_cli.report.page.document import write_page

__all__ = ["write_page"]
