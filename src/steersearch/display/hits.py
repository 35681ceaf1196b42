"""Search results in a notebook, on a terminal, and as rows of a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..text import one_line, visible
from . import html

TEXT, TITLE = 240, 80
"""Characters of a text and of an id that a table shows."""
LINE = 100
"""Characters of a line on the terminal."""
MOST = 50
"""Hits that a table shows."""
REASONS = 3
"""Features that moved a hit, beside it."""


def hits_html(hits: Sequence[Any]) -> str:
    """Return search results as a table: rank, score as a bar, text with its marked words, and what moved each hit."""
    largest = html.longest(hit.score for hit in hits)
    moved = html.longest(part.steered for hit in hits for part in hit.moved_by[:REASONS])
    compared = any(hit.rank_before is not None or hit.moved_by for hit in hits)
    rows = [
        [
            str(hit.rank),
            html.faint(_before(hit)) if compared else "",
            f"{hit.score:.3f}&nbsp;{html.bar(hit.score, largest)}",
            f"<b>{html.plain(hit.id, TITLE)}</b>{_title(hit)}<br>{_text(hit)}",
            f'<span style="white-space:nowrap">{reasons}</span>' if (reasons := _reasons(hit, moved)) else "",
        ]
        for hit in hits[:MOST]
    ]
    note = f"and {len(hits) - MOST} more" if len(hits) > MOST else ""
    return html.table(counted(hits), ["", "was", "score", "document", "moved by"], rows, note)


def hits_text(hits: Sequence[Any]) -> str:
    """Return search results as lines: rank, rank before, score, id, and the beginning of the text."""
    compared = any(hit.rank_before is not None or hit.moved_by for hit in hits)
    lines = []
    for hit in hits:
        before = f"was {_before(hit):<4}  " if compared else ""
        line = f"{hit.rank:>3}  {before}{hit.score:>7.3f}  {hit.id}: {_begin(hit)}{hit.text[: 2 * LINE]}"
        lines.append(visible(line[:5] + one_line(line[5:], LINE)))
    return "\n".join(lines) if lines else counted(hits)


def counted(hits: Sequence[Any]) -> str:
    """Return how many hits there are, in words."""
    return "1 hit" if len(hits) == 1 else f"{len(hits) or 'no'} hits"


def rows_of(hits: Sequence[Any]) -> list[dict[str, Any]]:
    """Return one mapping per hit: its rank, id, score, text and metadata; with `compare`, what steering changed.

    With `highlight` also `sentence`, the text of the best one, and `words`, those that made it match.
    """
    compared = any(hit.rank_before is not None or hit.moved_by for hit in hits)
    rows = []
    for hit in hits:
        row = {"rank": hit.rank, "id": hit.id, "score": hit.score, "text": hit.text, "metadata": dict(hit.metadata)}
        if compared:
            row["rank_before"] = hit.rank_before
            row["moved_by"] = [
                {"feature": part.feature.name, "label": part.feature.label, "steered": part.steered}
                for part in hit.moved_by
            ]
        words = getattr(hit, "words", None)
        if words is not None:
            row["sentence"] = words.text_of(words.sentence) if words.sentence else None
            row["words"] = [words.text_of(part) for part in words.highlights]
        rows.append(row)
    return rows


def columns_of(hits: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rows of a data frame: `rows_of` with a column per field of the metadata, and features as text.

    A field that is called like another column is called ``metadata.NAME``.
    """
    made = []
    for row in rows_of(hits):
        metadata = row.pop("metadata")
        if "moved_by" in row:
            row["moved_by"] = ", ".join(
                f"{part['label'] or part['feature']} {part['steered']:+.3f}" for part in row["moved_by"]
            )
        made.append(row | {f"metadata.{name}" if name in row else name: value for name, value in metadata.items()})
    return made


def _before(hit: Any) -> str:
    """Return the rank without steering, with an arrow where it changed; `new` where it is not known."""
    if hit.rank_before is None:
        return "new"
    arrow = "↑" if hit.rank < hit.rank_before else "↓" if hit.rank > hit.rank_before else ""
    return f"{hit.rank_before}{arrow}"


def _begin(hit: Any) -> str:
    """Return the title of a later chunk, which its own text does not have."""
    return f"{hit.title} … " if getattr(hit, "title", "") and hit.is_later_chunk else ""


def _title(hit: Any) -> str:
    return f" {html.faint(html.plain(hit.title, TITLE))}" if _begin(hit) else ""


def _text(hit: Any) -> str:
    """Return the text around what made it match, or its beginning."""
    spans = [(part.start, part.end) for part in getattr(hit, "highlights", ())]
    sentence = getattr(hit, "sentence", None)
    if sentence is not None and sentence.end > TEXT:  # the best sentence of a long text
        start = sentence.start
        inside = [(a - start, b - start) for a, b in spans if a >= start]
        return f"… {html.marked(hit.text[start:], inside, TEXT)}"
    return html.marked(hit.text, spans, TEXT)


def _reasons(hit: Any, largest: float) -> str:
    """Return the features that moved a hit most, a line each."""
    named = [(part.steered, html.plain(part.feature.label or part.feature.name, 32)) for part in hit.moved_by[:REASONS]]
    return "<br>".join(f"{html.bar(steered, largest)} {name}" for steered, name in named)
