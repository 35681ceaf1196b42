"""Folders that are open, in a notebook: an index, a bundle."""

from __future__ import annotations

from collections.abc import Mapping

from . import html


def facts_html(title: str, facts: Mapping[str, str]) -> str:
    """Return facts as a table of names and texts."""
    rows = [[html.faint(html.plain(name)), html.plain(value, 200)] for name, value in facts.items() if value]
    return html.table(html.plain(title), ["", ""], rows)
