"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def short(value: float | None) -> str:
    """Three digits, without the 0 in front; a dash for None."""
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.3f}"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Markdown; the first line is the head."""
    marked = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in marked)
