"""Explanations of scores in a notebook."""

from __future__ import annotations

from typing import Any

from . import html

PARTS = 10
"""Features that are shown; the others are one line."""
TEXT = 1200
"""Characters of a text with marked words."""


def explanation_html(explanation: Any) -> str:
    """Return a score taken apart: a bar per condition, a bar per feature, and what no feature expresses."""
    parts, terms = explanation.parts[:PARTS], explanation.terms
    others = sum(part.contribution for part in explanation.parts[PARTS:])
    largest = html.longest([explanation.rest, others, *(part.contribution for part in parts)])
    rows = [[_number(part.contribution, largest), feature_name(part.feature), _steered(part.steered)] for part in parts]
    if len(explanation.parts) > PARTS:
        rows.append([_number(others, largest), html.faint(f"{len(explanation.parts) - PARTS} further features"), ""])
    rest = "the average document, words, and what no active feature expresses" if terms else "in no active feature"
    rows.append([_number(explanation.rest, largest), html.faint(rest), ""])
    caption = f"{html.plain(explanation.id, 80)}: score {explanation.score:.4f}"
    made = [_terms_html(caption, terms)] if terms else []
    above = "by features, beside the average document" if terms else caption
    made.append(html.table(above, ["", "feature", "by steering"], rows))
    words = getattr(explanation, "words", None)
    if words is not None:
        spans = [(part.start, part.end) for part in words.highlights]
        made.append(f"<div><b>in words</b></div><div>{html.marked(words.text, spans, TEXT)}</div>")
    return f"<div>{''.join(made)}</div>"


def weights_html(caption: str, pairs: list[tuple[str, float]]) -> str:
    """Return named weights as bars; the names are HTML already."""
    largest = html.longest(weight for _, weight in pairs)
    return html.table(caption, ["", ""], [[_number(weight, largest, 2), name] for name, weight in pairs])


def feature_name(feature: Any) -> str:
    """Return the id of a feature and, where it has one, its label and score."""
    return f"{feature.name} {html.plain(feature.title, 60)}" if feature.title else str(feature.name)


def _terms_html(caption: str, terms: Any) -> str:
    largest = html.longest(term.value for term in terms)
    rows = []
    for term in terms:
        sign = "" if term.name == "query" else "+ " if term.weight > 0 else "− "
        said = f"stands out by {term.presence:.1f}" + (f", {term.words:+.4f} by words" if term.words else "")
        rows.append([_number(term.value, largest), f"{sign}{html.plain(term.name, 60)}", html.faint(said)])
    return html.table(caption, ["", "condition", ""], rows)


def _number(value: float, largest: float, digits: int = 4) -> str:
    return f"{value:+.{digits}f}&nbsp;{html.bar(value, largest)}"


def _steered(value: float) -> str:
    return f"{value:+.4f}" if value else ""
