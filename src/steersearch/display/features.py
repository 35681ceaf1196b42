"""Features in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import html

SHOWN = 20
"""Features of a bundle that a table shows: a page of them, not four thousand."""
WORDS = 6
EXAMPLES = 3


def feature_html(feature: Any) -> str:
    """Return one feature: its label and score, where it fires, its words and its strongest texts."""
    rows = [
        [
            "fires on",
            f"{feature.frequency:.2%} of the {'reference' if feature.share is None else 'labelled'} documents",
        ],
        ["typical activation", f"{feature.p95:.3f}" if feature.p95 else "it never fires"],
        ["words", html.plain(", ".join(feature.keywords[:10]), 160)],
        ["strongest texts", "<br>".join(html.plain(text, 160) for text in feature.examples[:EXAMPLES])],
        ["note", html.plain(feature.note, 240)],
    ]
    shown = [[html.faint(name), value] for name, value in rows if value]
    return html.table(html.plain(str(feature), 120), ["", ""], shown)


def features_html(features: Sequence[Any], caption: str) -> str:
    """Return features as a table, those with a label first, the most useful at the top; hidden ones are left out."""
    visible = [feature for feature in features if not feature.hidden]
    named = [feature for feature in visible if feature.label]
    first = sorted(named, key=lambda feature: (-feature.usefulness, -feature.frequency, feature.id))[:SHOWN]
    first += [feature for feature in visible if not feature.label][: SHOWN - len(first)]
    measured = any(feature.steers is not None for feature in first)
    scores = ["reads", "steers"] if measured else ["score"]
    densest = html.longest(feature.frequency for feature in first)
    rows = [
        [
            feature.name,
            html.plain(feature.label or "", 60),
            "" if feature.score is None else f"{feature.score:.2f}",
            *([] if not measured else [""] if feature.steers is None else [f"{feature.steers:.2f}"]),
            f"{feature.frequency:.2%}&nbsp;{html.bar(feature.frequency, densest)}",
            html.faint(html.plain(", ".join(feature.keywords[:WORDS]), 80)),
        ]
        for feature in first
    ]
    more = len(features) - len(rows)
    note = f"and {more:,} more: features.search(…) finds them" if more else ""
    return html.table(html.plain(caption), ["", "label", *scores, "fires on", "words"], rows, note)
