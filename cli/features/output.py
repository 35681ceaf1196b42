"""How features and passages look on the terminal and as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ...text import one_line, visible
from ..console import console, harmless

if TYPE_CHECKING:
    from ...runtime import Feature
    from ...runtime.bundle.interpretation import Passage

STYLES = ((0.5, "bold black on yellow"), (0.2, "bold yellow"), (0.05, "yellow"))
"""(least saliency, style). A word is marked when a twentieth of the activation is lost without it."""
DECISIVE = STYLES[1][0]
"""Least saliency of a word that is put between asterisks where there are no styles, as in a file."""


def passage_line(passage: Passage, width: int, *, styled: bool) -> Text:
    """Return the part of a passage around what matters most, `width` characters without the marks.

    Styles mark words and underline the shortest span that makes the latent fire; without styles, asterisks mark words.
    """
    start, stop = _window(passage, width)
    text = Text("…" if start else "")
    edges = {start, stop, *(edge for a, b, _ in passage.spans for edge in (a, b)), *(passage.minimal or ())}
    cuts = sorted(edge for edge in edges if start <= edge <= stop)
    marked = False
    for a, b in pairwise(cuts):
        saliency = max((share for first, last, share in passage.spans if first <= a and b <= last), default=0.0)
        if not styled and (saliency >= DECISIVE) != marked:
            marked = not marked
            text.append("*")
        within = passage.minimal is not None and passage.minimal[0] <= a and b <= passage.minimal[1]
        style = next((style for least, style in STYLES if saliency >= least), "")
        text.append(visible(re.sub(r"\s+", " ", passage.text[a:b])), f"{style} underline" if within else style)
    text.append(("*" if marked else "") + ("…" if stop < len(passage.text) else ""))
    return text


def _window(passage: Passage, width: int) -> tuple[int, int]:
    """Return where the part begins and ends that is shown, in characters."""
    size = len(passage.text)
    if size <= width:
        return 0, size
    first, last = passage.minimal or max(passage.spans, key=lambda span: span[2], default=(0, 0, 0.0))[:2]
    start = min(max(0, (first + last - width + 2) // 2), size - width + 2)
    if start < 2:
        return 0, width - 1
    return start, min(size, start + width - 2)


FIELDS = (
    *("id", "name", "label", "score", "support", "steers", "inert", "usefulness", "description", "unclear", "guess"),
    *("pattern_score", "share", "fires", "density", "mean", "p95", "max"),
    *("renamed", "hidden", "family", "note", "keywords", "examples"),
)
RAREST = 1e-4
"""Share of documents at the left end of the frequency bar; the right end is all of them."""


def feature_json(feature: Feature) -> dict[str, Any]:
    """Return what is known about a feature as JSON values."""
    plain = {name: getattr(feature, name) for name in FIELDS}
    return plain | {"usefulness": round(feature.usefulness, 4)}


def print_features(features: Iterable[Feature], further: Sequence[tuple[str, Sequence[str]]] = ()) -> None:
    """Print a line per feature, with further columns as (heading, a text per feature)."""
    from ...runtime.bundle.feature import format_share

    shown = list(features)
    if not shown:
        console.print("no such features")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("label", overflow="fold")
    # Bundles that were labelled before it was measured have no such figures.
    measured = any(feature.steers is not None for feature in shown)
    scores = ("reads", "steers") if measured else ("score",)
    # How many held-out documents a score rests on: from one, 1.00 means little.
    supported = any(feature.support is not None for feature in shown)
    for heading in (*scores, *(("from",) if supported else ()), "documents", *(heading for heading, _ in further)):
        words = heading == "family"
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words)
    for i, feature in enumerate(shown):
        table.add_row(
            harmless((feature.name, "bold")),
            _label(feature),
            *("" if each is None else format_share(each) for each in (feature.score, feature.steers)[: len(scores)]),
            *((f"{feature.support:,}" if feature.support is not None else "",) if supported else ()),
            f"{feature.frequency:.2%}" if feature.frequency else "never",
            *(texts[i] for _, texts in further),
        )
    console.print(table)


def _label(feature: Feature) -> Text:
    note = [(f"  {one_line(feature.note)}", "dim")] if feature.note else []
    return harmless(feature.label or (_nameless(feature), "dim"), *note)


def _nameless(feature: Feature) -> str:
    """Return what is printed in the place of a label."""
    if feature.hidden:
        return "hidden"
    return f"unclear: {feature.guess}" if feature.guess else "unclear" if feature.unclear else "-"


def frequency_bar(share: float, width: int = 20) -> str:
    """Return a bar for a share of documents, on a scale of powers of ten from one in ten thousand to all."""
    filled = round(width * (1 - math.log(max(share, RAREST)) / math.log(RAREST))) if share else 0
    return "█" * filled + "░" * (width - filled)
