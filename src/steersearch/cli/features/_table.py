"""A feature as a line of a table, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from .._common import console

if TYPE_CHECKING:
    from ...runtime import Feature

FIELDS = (
    *("id", "name", "label", "score", "unclear", "guess", "pattern_score", "density", "mean", "p95", "max"),
    *("renamed", "hidden", "family", "note", "keywords", "examples"),
)
RAREST = 1e-4
"""Share of documents at the left end of the frequency bar; the right end is all of them."""


def as_json(feature: Feature) -> dict[str, Any]:
    """What is known about a feature, as plain values."""
    return {name: getattr(feature, name) for name in FIELDS}


def print_features(features: Iterable[Feature], further: Sequence[tuple[str, Sequence[str]]] = ()) -> None:
    """A line per feature, with further columns as (heading, texts)."""
    from ...runtime.features import short

    shown = list(features)
    if not shown:
        console.print("no such features")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("label", overflow="fold")
    for heading in ("score", "documents", *(heading for heading, _ in further)):
        words = heading == "family"
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words)
    for i, feature in enumerate(shown):
        table.add_row(
            f"[bold]{feature.name}[/bold]",
            _label(feature),
            "" if feature.score is None else short(feature.score),
            share_of_documents(feature),
            *(escape(texts[i]) for _, texts in further),
        )
    console.print(table)


def _label(feature: Feature) -> str:
    label = escape(feature.label) if feature.label else f"[dim]{_nameless(feature)}[/dim]"
    return label + (f"  [dim]{escape(feature.note)}[/dim]" if feature.note else "")


def _nameless(feature: Feature) -> str:
    if feature.hidden:
        return "hidden"
    return f"unclear: {escape(feature.guess)}" if feature.guess else "unclear" if feature.unclear else "-"


def share_of_documents(feature: Feature) -> str:
    """How often it is active, in words."""
    return f"{feature.density:.2%}" if feature.p95 else "never"


def frequency_bar(share: float, width: int = 20) -> str:
    """A share of documents on a scale of powers of ten, from one in ten thousand to all."""
    filled = round(width * (1 - math.log(max(share, RAREST)) / math.log(RAREST))) if share else 0
    return "█" * filled + "░" * (width - filled)
